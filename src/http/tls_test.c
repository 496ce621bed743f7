/* TLS with real clients: curl and openssl s_client. Certificates are made by the test. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"
#include "test_server.h"

static struct test_server t;
static char dir[64];

static int run(const char *cmd)
{
	int r = system(cmd);
	return WIFEXITED(r) ? WEXITSTATUS(r) : -1;
}

static void sleep_ms(long ms)
{
	const struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
	nanosleep(&ts, NULL);
}

static void start(uint32_t head_timeout_ms)
{
	char cmd[512], cert[96], key[96];
	(void)snprintf(dir, sizeof(dir), "%s/nx-tls-XXXXXX", P_tmpdir);
	NX_CHECK(mkdtemp(dir));
	(void)snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	(void)snprintf(key, sizeof(key), "%s/key.pem", dir);
	(void)snprintf(
		cmd, sizeof(cmd),
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
		"-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s "
		"2>/dev/null",
		key, cert);
	if (run(cmd) != 0)
		NX_SKIP("no openssl command");
	struct nx_http_config cfg = { .tls_cert = cert,
				      .tls_key = key,
				      .head_timeout_ms = head_timeout_ms };
	ts_start(&t, &cfg);
}

static void stop(void)
{
	char cmd[128];
	ts_stop(&t);
	(void)snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	NX_EQ_I(0, run(cmd));
}

/* "@" in the command is the server's address, "#" the scratch directory. */
static int shell(const char *text)
{
	char cmd[1024];
	size_t n = 0;
	for (const char *p = text; *p && n < sizeof(cmd) - 80; p++) {
		if (*p == '@')
			n += (size_t)snprintf(cmd + n, sizeof(cmd) - n, "127.0.0.1:%u", t.port);
		else if (*p == '#')
			n += (size_t)snprintf(cmd + n, sizeof(cmd) - n, "%s", dir);
		else
			cmd[n++] = *p;
	}
	cmd[n] = '\0';
	return run(cmd);
}

#define CURL "curl -s -m 20 --cacert #/cert.pem "

NX_TEST(curl_over_tls)
{
	start(0);
	if (run("curl --version >/dev/null 2>&1") != 0)
		NX_SKIP("no curl");
	NX_EQ_I(0, shell(CURL "https://@/hello https://@/hello | grep -c hello | grep -qx 2"));
	NX_EQ_I(0, shell(CURL "--tlsv1.2 --tls-max 1.2 https://@/hello | grep -qx hello"));
	NX_EQ_I(0, shell(CURL "-d abc https://@/lent https://@/lent | grep -qx abcabc"));
	NX_EQ_I(0,
		shell(CURL "-H 'Transfer-Encoding: chunked' -d abc https://@/lent | grep -qx abc"));
	NX_EQ_I(0, shell(CURL "-f https://@/big | wc -c | grep -qx 8388608"));
	NX_EQ_I(0,
		shell(CURL "-f https://@/stream -o #/out && test $(wc -c < #/out) -ge 67108864"));
	NX_CHECK(shell(CURL "-f https://@/abort -o /dev/null") != 0);
	NX_EQ_I(0, shell("head -c 900000 /dev/urandom > #/in && " CURL "-T #/in -X POST -o #/out "
			 "https://@/lent && cmp #/in #/out"));
	NX_EQ_I(0, shell(CURL "--http2 -w '%{http_version}' https://@/hello | grep -q 1.1"));
	stop();
}

NX_TEST(old_versions_and_plain_text_are_refused)
{
	start(500);
	NX_CHECK(shell("openssl s_client -connect @ -tls1_1 </dev/null "
		       ">/dev/null 2>&1") != 0);
	NX_CHECK(shell("curl -s -m 5 http://@/hello") != 0);
	int fd = ts_connect(&t); /* a handshake that never comes */
	char c;
	int64_t began = nx_now();
	NX_CHECK(recv(fd, &c, 1, 0) <= 0);
	NX_CHECK(nx_now() - began >= 490 * NX_MS && nx_now() - began < 2 * NX_SEC);
	close(fd);
	stop();
}

NX_TEST(sessions_resume)
{
	start(0);
	NX_EQ_I(0, shell("openssl s_client -connect @ -tls1_2 -sess_out #/s </dev/null >/dev/null "
			 "2>&1"));
	NX_EQ_I(0, shell("openssl s_client -connect @ -tls1_2 -sess_in #/s </dev/null 2>/dev/null "
			 "| grep -q ^Reused"));
	stop();
}

NX_TEST(hangup_of_a_lent_tls_client)
{
	start(0);
	NX_EQ_I(0, shell("(curl -s -k -m 0.5 -o /dev/null https://@/hold; true)"));
	struct nx_http_exchange *x = ts_held();
	for (int i = 0; i < 1000 && nx_http_on_hangup(x, NULL, NULL); i++)
		sleep_ms(1);
	NX_CHECK(!nx_http_on_hangup(x, NULL, NULL));
	nx_http_abort(x);
	nx_http_done(x);
	NX_EQ_I(0,
		shell("(curl -s -k -m 0.3 --limit-rate 1000 -o /dev/null https://@/stream; true)"));
	for (int i = 0; i < 3000 && atomic_load(&ts_events.failed_writes) == 0; i++)
		sleep_ms(1);
	NX_EQ_I(1, atomic_load(&ts_events.failed_writes));
	stop();
}

NX_TEST(a_foreign_key_is_refused)
{
	static const char *const any[] = { "127.0.0.1:0" };
	start(0);
	NX_EQ_I(0, shell("openssl ecparam -genkey -name prime256v1 -noout -out #/other.pem "
			 "2>/dev/null"));
	char cert[96], key[96];
	(void)snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	(void)snprintf(key, sizeof(key), "%s/other.pem", dir);
	struct nx_http_config cfg = { .listen = any,
				      .nlisten = 1,
				      .tls_cert = cert,
				      .tls_key = key,
				      .handler = (nx_http_handler_fn *)abort };
	struct nx_http *h;
	struct nx_error err;
	NX_EQ_I(NX_E_CONFIG, nx_http_start(&cfg, &h, &err));
	stop();
}
