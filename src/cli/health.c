/* nexus health: is a gateway alive, or ready? An exit status for container and service checks. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/client.h"

static size_t drop(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	return size * n;
}

/* Where the configuration says it listens: any address is reached by loopback. */
static void own_url(const struct nx_config *cfg, const char *path, char *ret, size_t size)
{
	const char *listen = nx_opt_str(cfg->values, "http.listen", "127.0.0.1:8080");
	struct nx_str first = nx_strn(listen, strcspn(listen, ", "));
	const char *colon = memrchr(first.ptr, ':', first.len);
	struct nx_str host = nx_strn(first.ptr, colon ? (size_t)(colon - first.ptr) : 0);
	if (!host.len || nx_str_is(host, "0.0.0.0") || nx_str_is(host, "[::]"))
		host = NX_STR("127.0.0.1");
	bool tls = *nx_opt_str(cfg->values, "http.tls.cert", "") != '\0';
	(void)snprintf(ret, size, "%s://" NX_STR_FMT "%.*s%s", tls ? "https" : "http",
		       NX_STR_ARG(host), colon ? (int)(first.ptr + first.len - colon) : 0,
		       colon ? colon : "", path);
}

const char nx_usage_health[] = "usage: nexus health [--ready] [--url URL]\n"
			       "The status is 0 when the gateway is alive (--ready: takes "
			       "traffic), else 1. Without --url it is\n"
			       "asked where the configuration (-c) says that it listens.\n";

int nx_cmd_health(struct nx_cli *cli)
{
	const char *path = nx_cli_switch(cli, "--ready") ? "/readyz" : "/livez";
	const char *base = nx_cli_option(cli, "--url", getenv("NEXUS_URL"));
	if (cli->argc > 0) {
		fputs(nx_usage_health, stderr);
		return NX_EXIT_USAGE;
	}
	struct nx_config cfg;
	char url[1024];
	if (base) {
		(void)snprintf(url, sizeof(url), "%s%s", base, path);
	} else {
		if (!nx_cli_config(cli, &cfg))
			return NX_EXIT_FAIL;
		own_url(&cfg, path, url, sizeof(url));
		nx_config_done(&cfg);
	}
	long status = 0;
	CURL *c = curl_easy_init();
	CURLcode e = c ? CURLE_OK : CURLE_OUT_OF_MEMORY;
	if (c) {
		curl_easy_setopt(c, CURLOPT_URL, url);
		curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 2500L);
		curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop);
		curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
		if (!base) { /* our own certificate, for a name that is not ours on loopback; nothing secret
			      * is sent */
			curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
			curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
		}
		e = curl_easy_perform(c);
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_cleanup(c);
	}
	if (e == CURLE_OK && status == 200)
		return NX_EXIT_OK;
	if (e)
		fprintf(stderr, "nexus: %s: %s\n", url, curl_easy_strerror(e));
	else
		fprintf(stderr, "nexus: %s answered %ld\n", url, status);
	return NX_EXIT_FAIL;
}
