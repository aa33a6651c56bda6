/* Internal. The direct kernels (direct.c), which conv.c calls: those of conv.h with a variant's name. For files
 * compiled per variant. */
#ifndef WG_KERNELS_DIRECT_H
#define WG_KERNELS_DIRECT_H

#include "../base/kernel.h"

void WG__K(conv)(const wg_args *args, int64_t task);
void WG__K(conv_input)(const wg_args *args, int64_t task);
void WG__K(conv_weight)(const wg_args *args, int64_t task);

#endif
