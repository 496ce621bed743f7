#include "store/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nexus/buf.h"
#include "store/store.h"

enum { VERSION = 1, NONCE = 12, TAG = 16, HEAD = 2 + NONCE };

struct nx_vault {
	uint8_t key[NX_VAULT_KEY_LEN];
	uint8_t key_id;
	char name[17];
};

/* ---- the master key ---- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(struct nx_str s, uint8_t *out)
{
	if (s.len != (size_t)NX_VAULT_KEY_LEN * 2)
		return false;
	for (size_t i = 0; i < NX_VAULT_KEY_LEN; i++) {
		int hi = hex_value(s.ptr[i * 2]), lo = hex_value(s.ptr[i * 2 + 1]);
		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static int b64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* 32 bytes are 43 digits, with 2 bits left over that must be zero, and perhaps one '='. */
static bool from_base64(struct nx_str s, uint8_t *out)
{
	if (s.len == 44 && s.ptr[43] == '=')
		s.len--;
	if (s.len != 43)
		return false;
	unsigned acc = 0, bits = 0;
	size_t n = 0;
	for (size_t i = 0; i < s.len; i++) {
		int v = b64_value(s.ptr[i]);
		if (v < 0)
			return false;
		acc = (acc << 6 | (unsigned)v) & 0xffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (uint8_t)(acc >> bits);
		}
	}
	return (acc & 3) == 0;
}

enum nx_code nx_vault_key_parse(struct nx_str text, uint8_t ret[NX_VAULT_KEY_LEN],
				struct nx_error *err)
{
	uint8_t key[NX_VAULT_KEY_LEN];
	text = nx_str_trim(text);
	bool ok = from_hex(text, key) || from_base64(text, key);
	if (ok)
		memcpy(ret, key, sizeof(key));
	nx_wipe(key, sizeof(key));
	return ok ? NX_OK
		  : nx_fail(err, NX_E_CONFIG,
			    "The vault key must be 32 bytes as 64 hex digits or as base64.");
}

static enum nx_code file_fail(const char *what, int e, struct nx_error *err)
{
	(void)nx_fail(err, e == ENOSPC || e == EDQUOT ? NX_E_STORE_FULL : NX_E_CONFIG,
		      "The vault key file cannot be %s: %s.", what, strerrordesc_np(e));
	nx_error_native(err, e, NULL);
	return e == ENOSPC || e == EDQUOT ? NX_E_STORE_FULL : NX_E_CONFIG;
}

static enum nx_code read_key(int fd, uint8_t *ret, struct nx_error *err)
{
	struct stat st;
	char text[256];
	if (fstat(fd, &st) < 0)
		return file_fail("read", errno, err);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0077))
		return nx_fail(
			err, NX_E_CONFIG,
			"The vault key file must be a regular file that only its owner may read "
			"(chmod 600).");
	ssize_t n = read(fd, text, sizeof(text));
	if (n < 0)
		return file_fail("read", errno, err);
	enum nx_code c = nx_vault_key_parse(nx_strn(text, (size_t)n), ret, err);
	nx_wipe(text, sizeof(text));
	return c;
}

/* A rename is only durable once its folder is synced. */
static bool sync_folder(const char *path)
{
	char *dir = strdup(path);
	if (!dir)
		return false;
	char *slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir ? 1 : 0] = '\0';
	int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	bool ok = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Written beside and linked into place: never half a key under the name, and of two processes that
 * start at once one wins and the other reads the winner's. */
static enum nx_code make_key(const char *path, struct nx_error *err)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t raw[NX_VAULT_KEY_LEN];
	char text[NX_VAULT_KEY_LEN * 2 + 1], tmp[4096];
	if (snprintf(tmp, sizeof(tmp), "%s.%d", path, (int)getpid()) >= (int)sizeof(tmp))
		return nx_fail(err, NX_E_CONFIG, "The path of the vault key file is too long.");
	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return nx_fail(err, NX_E_INTERNAL, "No random numbers.");
	for (size_t i = 0; i < sizeof(raw); i++) {
		text[i * 2] = digits[raw[i] >> 4];
		text[i * 2 + 1] = digits[raw[i] & 15];
	}
	text[sizeof(text) - 1] = '\n';
	enum nx_code c = NX_OK;
	(void)unlink(tmp); /* left by a crash of an earlier process with our pid */
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		c = file_fail("made", errno, err);
	} else {
		ssize_t n = write(fd, text, sizeof(text));
		if (n != (ssize_t)sizeof(text) || fsync(fd) != 0)
			c = file_fail("written",
				      n >= 0 && n < (ssize_t)sizeof(text) ? ENOSPC : errno, err);
		close(fd);
		if (!c && link(tmp, path) != 0 && errno != EEXIST)
			c = file_fail("made", errno, err);
		(void)unlink(tmp);
		if (!c && !sync_folder(path))
			c = file_fail("made durable", errno, err);
	}
	nx_wipe(raw, sizeof(raw));
	nx_wipe(text, sizeof(text));
	return c;
}

enum nx_code nx_vault_key_file(const char *path, bool create, uint8_t ret[NX_VAULT_KEY_LEN],
			       struct nx_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && create) {
		enum nx_code c = make_key(path, err);
		if (c)
			return c;
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	if (fd < 0)
		return file_fail("opened", errno, err);
	enum nx_code c = read_key(fd, ret, err);
	close(fd);
	return c;
}

/* ---- sealing ---- */

enum nx_code nx_vault_new(const uint8_t key[NX_VAULT_KEY_LEN], struct nx_vault **ret,
			  struct nx_error *err)
{
	static const char label[] = "nexus vault key id";
	uint8_t text[sizeof(label) + NX_VAULT_KEY_LEN], hash[EVP_MAX_MD_SIZE];
	struct nx_vault *v = calloc(1, sizeof(*v));
	memcpy(text, label, sizeof(label));
	memcpy(text + sizeof(label), key, NX_VAULT_KEY_LEN);
	bool ok = v && EVP_Digest(text, sizeof(text), hash, NULL, EVP_sha256(), NULL) == 1;
	nx_wipe(text, sizeof(text));
	if (!ok) {
		nx_vault_free(v);
		return nx_fail(err, NX_E_MEMORY, "The vault cannot be set up.");
	}
	memcpy(v->key, key, NX_VAULT_KEY_LEN);
	v->key_id = hash[0];
	for (int i = 0; i < 16; i++)
		v->name[i] = "0123456789abcdef"[(hash[1 + i / 2] >> (i % 2 ? 0 : 4)) & 15];
	*ret = v;
	return NX_OK;
}

void nx_vault_free(struct nx_vault *v)
{
	if (!v)
		return;
	nx_wipe(v, sizeof(*v));
	free(v);
}

const char *nx_vault_name(const struct nx_vault *v)
{
	return v->name;
}

enum nx_code nx_vault_claim(struct nx_store *s, const uint8_t key[NX_VAULT_KEY_LEN],
			    struct nx_error *err)
{
	struct nx_vault *v = NULL;
	struct nx_str have = { 0 };
	struct nx_arena *a = nx_arena_new(4096);
	enum nx_code c =
		a ? nx_vault_new(key, &v, err) : nx_fail(err, NX_E_MEMORY, "Out of memory.");
	if (!c)
		c = nx_store_setting_init(s, NX_VAULT_SETTING, nx_str(v->name), a, &have, err);
	if (!c && !nx_str_is(have, v->name))
		c = nx_fail(err, NX_E_CREDENTIAL_INVALID,
			    "CV-004: the metadata store belongs to vault key %.16s, this gateway "
			    "has %s. "
			    "Give all gateways on one store the same vault.key or vault.keyFile.",
			    have.len == 16 ? have.ptr : "?", v->name);
	nx_vault_free(v);
	nx_arena_free(a);
	return c;
}

/* The associated data: head byte values, purpose, owner. */
static bool bind_owner(EVP_CIPHER_CTX *ctx, const uint8_t *head, struct nx_str owner, bool seal)
{
	static const unsigned char purpose[] = "config";
	int n;
	int (*update)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int) =
		seal ? EVP_EncryptUpdate : EVP_DecryptUpdate;
	return owner.len <= 1024 && update(ctx, NULL, &n, head, 2) == 1 &&
	       update(ctx, NULL, &n, purpose, sizeof(purpose)) == 1 &&
	       (owner.len == 0 ||
		update(ctx, NULL, &n, (const unsigned char *)owner.ptr, (int)owner.len) == 1);
}

enum nx_code nx_vault_seal(const struct nx_vault *v, struct nx_str owner, struct nx_str plain,
			   struct nx_arena *a, struct nx_str *ret, struct nx_error *err)
{
	if (plain.len == 0) {
		*ret = NX_STR("");
		return NX_OK;
	}
	if (plain.len > NX_VAULT_MAX)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "The secrets of a data source are too long.");
	uint8_t *out = nx_arena_alloc(a, HEAD + plain.len + TAG);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, last = 0;
	bool ok = out && ctx;
	if (ok) {
		out[0] = VERSION;
		out[1] = v->key_id;
		ok = RAND_bytes(out + 2, NONCE) == 1 &&
		     EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, v->key, out + 2) == 1 &&
		     bind_owner(ctx, out, owner, true) &&
		     EVP_EncryptUpdate(ctx, out + HEAD, &n, (const unsigned char *)plain.ptr,
				       (int)plain.len) == 1 &&
		     EVP_EncryptFinal_ex(ctx, out + HEAD + n, &last) == 1 &&
		     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, out + HEAD + plain.len) ==
			     1;
	}
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		return nx_fail(err, NX_E_MEMORY, "The secrets cannot be encrypted.");
	*ret = nx_strn((const char *)out, HEAD + plain.len + TAG);
	return NX_OK;
}

enum nx_code nx_vault_open(const struct nx_vault *v, struct nx_str owner, struct nx_str sealed,
			   struct nx_arena *a, struct nx_str *ret, struct nx_error *err)
{
	if (sealed.len == 0) {
		*ret = NX_STR("");
		return NX_OK;
	}
	const uint8_t *in = (const uint8_t *)sealed.ptr;
	if (sealed.len <= HEAD + TAG || sealed.len > (size_t)NX_VAULT_MAX + HEAD + TAG ||
	    in[0] != VERSION)
		return nx_fail(
			err, NX_E_CREDENTIAL_INVALID,
			"CV-001: the stored credentials cannot be decrypted; they are damaged.");
	if (in[1] != v->key_id)
		return nx_fail(err, NX_E_CREDENTIAL_INVALID,
			       "CV-004: the stored credentials were encrypted with key %02x; the "
			       "vault key "
			       "in use is %02x.",
			       in[1], v->key_id);
	size_t len = sealed.len - HEAD - TAG;
	uint8_t tag[TAG];
	memcpy(tag, in + HEAD + len, TAG);
	char *out = nx_arena_alloc(a, len + 1);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, last = 0;
	if (!out || !ctx) {
		EVP_CIPHER_CTX_free(ctx);
		return nx_fail(err, NX_E_MEMORY, "Out of memory.");
	}
	bool ok = EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, v->key, in + 2) == 1 &&
		  bind_owner(ctx, in, owner, false) &&
		  EVP_DecryptUpdate(ctx, (unsigned char *)out, &n, in + HEAD, (int)len) == 1 &&
		  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
		  EVP_DecryptFinal_ex(ctx, (unsigned char *)out + n, &last) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok) {
		nx_wipe(out, len); /* unproved plain text must not be seen by anyone */
		return nx_fail(
			err, NX_E_CREDENTIAL_INVALID,
			"CV-001: the stored credentials cannot be decrypted with this vault key.");
	}
	out[len] = '\0';
	*ret = nx_strn(out, len);
	return NX_OK;
}
