/* The drivers that are linked in. drivers.def is the one list. Apart from the rest of the catalog, so
 * that its tests can bring drivers of their own. */
#include "catalog/catalog.h"

#define NX_DRIVER(name) extern const struct nx_driver nx_driver_##name;
#include "drivers/drivers.def"
#undef NX_DRIVER

const struct nx_driver *const nx_drivers[] = {
#define NX_DRIVER(name) &nx_driver_##name,
#include "drivers/drivers.def"
#undef NX_DRIVER
	NULL,
};
