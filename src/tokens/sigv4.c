/* AWS Signature Version 4, as documented under "Create a signed AWS API request". */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tokens/tokens_int.h"

static const char hex_digits[] = "0123456789abcdef";

static void put_hex(struct nx_buf *b, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		nx_buf_putc(b, hex_digits[p[i] >> 4]);
		nx_buf_putc(b, hex_digits[p[i] & 15]);
	}
}

static bool put_hash(struct nx_buf *b, struct nx_str s)
{
	unsigned char h[32];
	unsigned n = 0;
	if (EVP_Digest(s.ptr ? s.ptr : "", s.len, h, &n, EVP_sha256(), NULL) != 1)
		return false;
	put_hex(b, h, 32);
	return true;
}

static bool mac(const unsigned char *key, size_t len, struct nx_str s, unsigned char out[32])
{
	unsigned n = 0;
	return HMAC(EVP_sha256(), key, (int)len, (const unsigned char *)s.ptr, s.len, out, &n) &&
	       n == 32;
}

static const char *signed_headers(const struct nx_sigv4 *q)
{
	if (q->content_type)
		return q->session_token ? "content-type;host;x-amz-date;x-amz-security-token"
					: "content-type;host;x-amz-date";
	return q->session_token ? "host;x-amz-date;x-amz-security-token" : "host;x-amz-date";
}

static bool put_canonical(struct nx_buf *b, const struct nx_sigv4 *q)
{
	nx_buf_printf(b, "%s\n%s\n%s\n", q->method, q->path, q->query);
	if (q->content_type)
		nx_buf_printf(b, "content-type:%s\n", q->content_type);
	nx_buf_printf(b, "host:%s\nx-amz-date:%s\n", q->host, q->time);
	if (q->session_token)
		nx_buf_printf(b, "x-amz-security-token:%s\n", q->session_token);
	nx_buf_printf(b, "\n%s\n", signed_headers(q));
	return put_hash(b, q->payload);
}

/* The key of the day: AWS4 + secret, then date, region, service, "aws4_request". */
static bool day_key(const struct nx_sigv4 *q, unsigned char key[32])
{
	struct nx_buf b;
	nx_secret_buf(&b);
	nx_buf_printf(&b, "AWS4%s", q->secret_access_key);
	bool ok = !b.failed && mac((unsigned char *)b.data, b.len, nx_strn(q->time, 8), key) &&
		  mac(key, 32, nx_str(q->region), key) && mac(key, 32, nx_str(q->service), key) &&
		  mac(key, 32, NX_STR("aws4_request"), key);
	if (b.data)
		nx_wipe(b.data, b.len);
	nx_buf_done(&b);
	return ok;
}

enum nx_code nx_sigv4(const struct nx_sigv4 *q, struct nx_arena *a, struct nx_str *ret,
		      struct nx_error *err)
{
	unsigned char key[32], sig[32];
	char scope[200];
	struct nx_buf canon, to_sign, out;
	int n = snprintf(scope, sizeof(scope), "%.8s/%s/%s/aws4_request", q->time, q->region,
			 q->service);
	nx_secret_buf(&canon);
	nx_secret_buf(&to_sign);
	nx_secret_buf(&out);
	bool ok = n > 0 && (size_t)n < sizeof(scope) && strlen(q->time) == 16 &&
		  put_canonical(&canon, q);
	nx_buf_printf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%s\n", q->time, scope);
	ok = ok && !canon.failed && put_hash(&to_sign, nx_buf_str(&canon)) && !to_sign.failed &&
	     day_key(q, key) && mac(key, 32, nx_buf_str(&to_sign), sig);
	nx_wipe(key, sizeof(key));
	nx_buf_printf(&out, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=",
		      q->access_key_id, scope, signed_headers(q));
	if (ok)
		put_hex(&out, sig, sizeof(sig));
	if (canon.data)
		nx_wipe(canon.data, canon.len);
	nx_buf_done(&canon);
	nx_buf_done(&to_sign);
	enum nx_code c = nx_secret_take(&out, a, ret, err);
	return c || ok ? c : nx_fail(err, NX_E_INTERNAL, "A request to AWS cannot be signed.");
}
