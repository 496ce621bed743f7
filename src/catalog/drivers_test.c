/* The drivers that are really linked in: tables whole, options usable with the types they serve. */
#include "catalog/catalog_int.h"
#include "test.h"

NX_TEST(driver_tables_are_whole)
{
	for (size_t i = 0; nx_drivers[i]; i++) {
		const struct nx_driver *d = nx_drivers[i];
		printf("# %s\n", d->name);
		NX_EQ_I(NX_DRIVER_ABI, d->abi);
		NX_CHECK(nx_driver_find(d->name) == d); /* so the name is there once */
		NX_CHECK(d->options && d->open && d->close && d->connect && d->disconnect);
		NX_CHECK(d->query && d->schema && d->release);
		NX_CHECK(d->next || (d->caps & NX_CAP_ENCODES));
		NX_CHECK(!(d->caps & NX_CAP_ENCODES) == !d->next_bytes);
		NX_CHECK(!(d->caps & NX_CAP_CANCEL) || d->cancel);
		NX_CHECK(!(d->caps & NX_CAP_CATALOG) || (d->tables && d->columns));
		NX_CHECK(!(d->caps & NX_CAP_GRANTS) || d->probe);
		NX_CHECK(!(d->caps & NX_CAP_PARAMS) || d->placeholder);
	}
}

NX_TEST(driver_options_do_not_shadow_the_common_ones)
{
	for (size_t i = 0; nx_drivers[i]; i++) {
		const struct nx_option *table = nx_drivers[i]->options;
		for (const struct nx_option *o = table; o->key; o++) {
			if (nx_option_find(nx_options_common, nx_str(o->key)) ||
			    nx_option_find(table, nx_str(o->key)) != o)
				nx_test_fail(__FILE__, __LINE__, "%s: %s is there twice",
					     nx_drivers[i]->name, o->key);
			NX_CHECK(o->help && o->help[0]);
			NX_CHECK((o->type == NX_OPT_ENUM) == (o->choices != NULL));
			NX_CHECK(!(o->flags & NX_OPTF_POOL));
			struct nx_options *set = nx_options_new();
			struct nx_error err;
			if (o->fallback && nx_options_set(set, o, nx_str(o->fallback), &err))
				nx_test_fail(__FILE__, __LINE__, "%s: default: %s",
					     nx_drivers[i]->name, err.message);
			nx_options_free(set);
		}
	}
}

NX_TEST(defaults_of_built_types_fit_their_driver)
{
	for (uint32_t i = 0; i < nx_source_type_count; i++) {
		const struct nx_source_type *t = &nx_source_types[i];
		const struct nx_driver *d = nx_driver_find(t->driver);
		if (!d)
			continue;
		for (const char *p = t->defaults; p && *p;) {
			size_t n = strcspn(p, ";"), key = strcspn(p, "=");
			if (!nx_option_find(d->options, nx_strn(p, key)))
				nx_test_fail(__FILE__, __LINE__, "%s: default %.*s has no option",
					     t->name, (int)key, p);
			p += n + (p[n] ? 1 : 0);
		}
		NX_CHECK(!t->port || nx_option_find(d->options, NX_STR("port")));
	}
}
