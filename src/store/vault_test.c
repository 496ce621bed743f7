#include "store/vault.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static const uint8_t key[32] = "0123456789abcdef0123456789abcde";

static struct nx_vault *must_make(const uint8_t *k)
{
	struct nx_vault *v = NULL;
	NX_EQ_I(NX_OK, nx_vault_new(k, &v, NULL));
	return v;
}

NX_TEST(round_trip_and_every_changed_byte)
{
	struct nx_vault *v = must_make(key);
	struct nx_arena *a = nx_arena_new(0);
	struct nx_str plain = NX_STR("{\"password\":\"hunter2\"}"), sealed, again, back = { 0 };
	struct nx_error err;
	NX_EQ_I(NX_OK, nx_vault_seal(v, NX_STR("id-1"), plain, a, &sealed, &err));
	NX_EQ_I(2 + 12 + plain.len + 16, sealed.len);
	NX_CHECK(!memmem(sealed.ptr, sealed.len, "hunter2", 7));
	NX_EQ_I(NX_OK, nx_vault_open(v, NX_STR("id-1"), sealed, a, &back, &err));
	NX_EQ_STR(plain, back);
	NX_EQ_I(NX_OK, nx_vault_seal(v, NX_STR("id-1"), plain, a, &again, &err));
	NX_CHECK(memcmp(sealed.ptr + 2, again.ptr + 2, 12) != 0); /* a nonce is used once */
	char *bytes = (char *)(uintptr_t)sealed.ptr;
	for (size_t i = 0; i < sealed.len; i++) {
		bytes[i] = (char)(bytes[i] ^ 1);
		back = (struct nx_str){ 0 };
		NX_EQ_I(NX_E_CREDENTIAL_INVALID,
			nx_vault_open(v, NX_STR("id-1"), sealed, a, &back, &err));
		NX_CHECK(back.ptr == NULL &&
			 strncmp(err.message, i == 1 ? "CV-004" : "CV-001", 6) == 0);
		bytes[i] = (char)(bytes[i] ^ 1);
	}
	for (size_t n = 1; n < sealed.len; n++)
		NX_EQ_I(NX_E_CREDENTIAL_INVALID,
			nx_vault_open(v, NX_STR("id-1"), nx_strn(sealed.ptr, n), a, &back, &err));
	/* moved to another row */
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, nx_vault_open(v, NX_STR("id-2"), sealed, a, &back, &err));
	NX_EQ_I(NX_E_CREDENTIAL_INVALID, nx_vault_open(v, NX_STR(""), sealed, a, &back, &err));
	NX_EQ_I(NX_OK, nx_vault_seal(v, NX_STR("x"), NX_STR(""), a, &sealed, &err));
	NX_EQ_I(0, sealed.len);
	NX_EQ_I(NX_OK, nx_vault_open(v, NX_STR("x"), sealed, a, &back, &err));
	NX_EQ_I(0, back.len);
	nx_arena_free(a);
	nx_vault_free(v);
}

NX_TEST(too_long_a_secret)
{
	struct nx_vault *v = must_make(key);
	struct nx_arena *a = nx_arena_new(0);
	char *big = calloc(NX_VAULT_MAX + 1, 1);
	struct nx_str sealed, back;
	struct nx_error err;
	NX_EQ_I(NX_OK, nx_vault_seal(v, NX_STR("x"), nx_strn(big, NX_VAULT_MAX), a, &sealed, &err));
	NX_EQ_I(NX_OK, nx_vault_open(v, NX_STR("x"), sealed, a, &back, &err));
	NX_EQ_I(NX_E_CREDENTIAL_INVALID,
		nx_vault_seal(v, NX_STR("x"), nx_strn(big, NX_VAULT_MAX + 1), a, &sealed, &err));
	free(big);
	nx_arena_free(a);
	nx_vault_free(v);
}

/* NIST GCM test case 14 (256-bit zero key, zero nonce, one zero block), put in our form: proves that
 * the cipher is what its name says. Our associated data differs, so only the ciphertext is compared. */
NX_TEST(ciphertext_is_aes_256_gcm)
{
	static const uint8_t zero[32];
	struct nx_vault *v = must_make(zero);
	struct nx_arena *a = nx_arena_new(0);
	struct nx_str sealed, back;
	struct nx_error err;
	NX_EQ_I(NX_OK,
		nx_vault_seal(v, NX_STR("x"), nx_strn((const char *)zero, 16), a, &sealed, &err));
	/* GCM is CTR: under the zero nonce the block would be cea7403d4d606b6e074ec5d3baf39d18 */
	char forged[46] = { sealed.ptr[0], sealed.ptr[1] };
	static const unsigned char block[16] = { 0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e,
						 0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18 };
	memcpy(forged + 14, block, 16);
	NX_EQ_I(NX_E_CREDENTIAL_INVALID,
		nx_vault_open(v, NX_STR("x"), nx_strn(forged, 46), a, &back, &err));
	nx_arena_free(a);
	nx_vault_free(v);
}

NX_TEST(key_texts)
{
	static const char hex[] =
		"000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
	static const char b64[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
	static const char high[] =
		"_________________________________________-8="; /* URL alphabet */
	static const char *const bad[] = {
		"",
		" ",
		"00",
		"0001020304050607080900b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1",
		"AAECAwQFBgcICQoLDA0ODxAREhMU",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", /* bits left over */
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8==",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh*="
	};
	uint8_t k[32], want[32];
	struct nx_error err;
	for (int i = 0; i < 32; i++)
		want[i] = (uint8_t)i;
	NX_EQ_I(NX_OK, nx_vault_key_parse(nx_str(hex), k, &err));
	NX_CHECK(memcmp(k, want, 32) == 0);
	memset(k, 0, 32);
	char padded[128];
	NX_CHECK(snprintf(padded, sizeof(padded), " %s\r\n", b64) > 0);
	NX_EQ_I(NX_OK, nx_vault_key_parse(nx_str(padded), k, &err));
	NX_CHECK(memcmp(k, want, 32) == 0);
	NX_EQ_I(NX_OK, nx_vault_key_parse(nx_strn(b64, 43), k, &err));
	NX_EQ_I(NX_OK, nx_vault_key_parse(nx_str(high), k, &err));
	memcpy(want, k, 32);
	for (size_t i = 0; i < NX_COUNTOF(bad); i++) {
		if (nx_vault_key_parse(nx_str(bad[i]), k, &err) != NX_E_CONFIG)
			nx_test_fail(__FILE__, __LINE__, "taken: %s", bad[i]);
		NX_CHECK(strlen(bad[i]) < 8 || !strstr(err.message, bad[i]));
	}
	NX_CHECK(memcmp(k, want, 32) == 0); /* untouched by failures */
}

NX_TEST(key_file)
{
	char dir[128], path[160], command[200];
	const char *base = getenv("TMPDIR");
	uint8_t one[32], two[32];
	struct nx_error err;
	struct stat st;
	NX_CHECK(snprintf(dir, sizeof(dir), "%s/nx-XXXXXX", base ? base : P_tmpdir) <
		 (int)sizeof(dir));
	NX_CHECK(mkdtemp(dir) != NULL);
	NX_CHECK(snprintf(path, sizeof(path), "%s/vault.key", dir) > 0);
	NX_EQ_I(NX_E_CONFIG, nx_vault_key_file(path, false, one, &err));
	/* eight processes at once end up with one key */
	for (int i = 0; i < 8; i++)
		if (fork() == 0)
			_exit(nx_vault_key_file(path, true, one, NULL) != NX_OK);
	for (int i = 0; i < 8; i++) {
		int status;
		NX_CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	NX_EQ_I(NX_OK, nx_vault_key_file(path, true, one, &err));
	NX_EQ_I(NX_OK, nx_vault_key_file(path, false, two, &err));
	NX_CHECK(memcmp(one, two, 32) == 0);
	NX_CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	NX_CHECK(snprintf(command, sizeof(command), "test $(ls %s | wc -l) = 1", dir) > 0);
	NX_EQ_I(0, system(command)); /* no leftovers */
	NX_CHECK(chmod(path, 0640) == 0);
	NX_EQ_I(NX_E_CONFIG, nx_vault_key_file(path, false, two, &err));
	NX_CHECK(strstr(err.message, "chmod 600"));
	NX_CHECK(chmod(path, 0600) == 0 && truncate(path, 10) == 0);
	NX_EQ_I(NX_E_CONFIG, nx_vault_key_file(path, true, two, &err)); /* never overwritten */
	NX_EQ_I(NX_E_CONFIG, nx_vault_key_file(dir, true, two, &err));
	NX_CHECK(snprintf(command, sizeof(command), "rm -r %s", dir) > 0);
	NX_EQ_I(0, system(command));
}
