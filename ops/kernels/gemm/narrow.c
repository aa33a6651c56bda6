/* Numbers as the operands of products in bf16 are rounded, for values that are stored so. Compiled per variant. */
#include "pair.h"

#include <string.h>

#include "../base/integers.h"

/* y in bf16, x in f32 */
void WG__K(narrow)(int64_t n, void *y, const void *const *x)
{
    for (int64_t i = 0; i < n; i += LANES) {
        const size_t some = (size_t)min64(n - i, LANES);
        real from[LANES] = {0};
        memcpy(from, (const real *)x[0] + i, some * sizeof *from);
        const halves to = halves_of(load(from));
        memcpy((wg__item *)y + i, &to, some * sizeof(wg__item));
    }
}
