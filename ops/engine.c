/* The constructors of tapes and parameter sets: they give the engine its table of structural ops and kernels, so that
 * autograd/ needs no symbol of ops/. */
#include "../autograd/engine.h"
#include "internal.h"

wg_tape *wg_tape_new(wg_tape_options options) { return wg__tape_new(options, &wg__structural_ops); }

wg_params *wg_params_new_with(wg_dtype dtype, wg_allocator allocator, uint64_t seed)
{
    return wg__params_new(dtype, allocator, seed, &wg__structural_ops);
}

wg_params *wg_params_new(wg_dtype dtype) { return wg_params_new_with(dtype, (wg_allocator){0}, 0); }
