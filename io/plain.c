/* The locale "C" and the default floating-point environment for a thread. That locale is static in glibc and musl:
 * making it takes no memory, and cannot fail. */
#include "plain.h"

wg__plain wg__plain_begin(void)
{
    wg__plain caller;
    const locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    caller.locale = c ? uselocale(c) : (locale_t)0;
    fegetenv(&caller.environment);
    fesetenv(FE_DFL_ENV);
    return caller;
}

void wg__plain_end(const wg__plain *caller)
{
    if (caller->locale) freelocale(uselocale(caller->locale));
    fesetenv(&caller->environment);
}
