/* Internal. Heads of attention, for the operators of ONNX (attention.c) and of ONNX Runtime (fused_attention.c). */
#ifndef WG_ONNX_ATTENTION_H
#define WG_ONNX_ATTENTION_H

#include "internal.h"

/* [B, T, heads d] as [B, heads, T, d]; one of another rank as it is. */
wg_tensor wg__split_heads(wg__call *c, wg_tensor x, int64_t heads);
wg_tensor wg__join_heads(wg_tensor x);

/* x[B, heads, T, d] of which the first n elements of each head are turned by the caches [B or 1, T, n / 2]. */
wg_tensor wg__turn_heads(wg_tensor x, wg_tensor cosine, wg_tensor sine, int64_t n, bool interleaved);

#endif
