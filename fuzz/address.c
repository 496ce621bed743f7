/* Addresses, blocks and X-Forwarded-For: clients write the last one. An address that parses has one
 * text, and that text is the same address. */
#include <stdlib.h>

#include "base/cidr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nx_str s = nx_strn((const char *)data, size);
	struct nx_ip ip, again;
	if (nx_ip_parse(s, &ip)) {
		char text[NX_IP_TEXT];
		nx_ip_text(&ip, text);
		if (!nx_ip_parse(nx_str(text), &again) || memcmp(&ip, &again, sizeof(ip)) != 0)
			abort();
	}
	struct nx_cidr block;
	if (nx_cidr_parse(s, &block) && !nx_cidr_has(&block, &block.net) &&
	    !(block.bits < 96 && nx_ip_is_v4(&block.net)))
		abort();
	struct nx_cidr_list l;
	if (nx_cidr_list_parse(s, &l, NULL) == NX_OK)
		nx_cidr_list_done(&l);
	if (nx_cidr_list_parse(NX_STR("10.0.0.0/8,::1"), &l, NULL) ||
	    !nx_ip_parse(NX_STR("::1"), &ip))
		abort();
	(void)nx_forwarded_for(&l, s, &ip);
	nx_cidr_list_done(&l);
	return 0;
}
