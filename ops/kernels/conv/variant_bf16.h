/* Internal. What the files of direct convolutions in bf16 that are compiled per variant have of each other. */
#ifndef WG_KERNELS_CONV_VARIANT_BF16_H
#define WG_KERNELS_CONV_VARIANT_BF16_H

#include "direct_bf16.h"

#include "../base/kernel.h"

void WG__K(conv_tile)(const wg__bf16_tile *t);
void WG__K(conv_weight)(const wg_args *args, int64_t task);
extern const wg__conv_kernels WG__K(conv_kernels);

#endif
