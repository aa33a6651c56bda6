/* Built in place of blis.c where there is no BLIS: products run on the kernels of gemm.c. */
#include "micro.h"

const wg__blis *wg__blis_get(wg_dtype dtype)
{
    (void)dtype;
    return NULL;
}

const char *wg__blis_name(void) { return "reference"; }

wg__blis_tile wg__blis_tile_get(wg_dtype dtype)
{
    (void)dtype;
    return NULL;
}
