/* The locale "C" for a thread. It is static in glibc and musl: making it takes no memory, and cannot fail. */
#include "point.h"

locale_t wg__point_begin(void)
{
    const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return plain ? uselocale(plain) : (locale_t)0;
}

void wg__point_end(locale_t before)
{
    if (before) freelocale(uselocale(before));
}
