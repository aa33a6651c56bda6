/* Elementwise operators of ONNX Runtime's domain com.microsoft, which its optimizer makes of several others. The other
 * ones of this domain are rows of the families to which they belong. */
#include "internal.h"

/* Of operand 0 plus the bias, which has the last axis. */
static wg_tensor biased(wg__call *c)
{
    return wg__has(c, 1) ? wg_add(wg__tensor(c, 0), wg__tensor(c, 1)) : wg__tensor(c, 0);
}

static void record_gelu(wg__call *c) { wg__set(c, 0, wg_gelu(biased(c)), wg__type_of(c, 0)); }
static void record_fast_gelu(wg__call *c) { wg__set(c, 0, wg_gelu_tanh(biased(c)), wg__type_of(c, 0)); }

/* x sigmoid(alpha x). */
static void record_quick_gelu(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const double alpha = wg__attribute_float(c->node, "alpha", 1.702);
    wg__set(c, 0, wg_mul(x, wg_sigmoid(wg_scale(x, alpha))), wg__type_of(c, 0));
}

/* The first half of the last axis times the gelu of the second. */
static void record_split_gelu(wg__call *c)
{
    const wg_tensor x = biased(c);
    const int64_t n = wg_rank(x) > 0 ? wg_size(x, -1) : 0;
    if (n < 2 || n % 2 != 0) {
        if (!wg__call_failed(c)) wg__call_fail(c, WG_ERR_SHAPE, "%lld elements have no halves", (long long)n);
        return;
    }
    wg__set(c, 0, wg_mul(wg_slice(x, -1, 0, n / 2), wg_gelu(wg_slice(x, -1, n / 2, n))), wg__type_of(c, 0));
}

static void record_bias_add(wg__call *c) { wg__set(c, 0, wg_add(biased(c), wg__tensor(c, 2)), wg__type_of(c, 0)); }

/* Softmax of the sum, over all axes from `axis` on, as one. */
static void record_bias_softmax(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", 1), shape.rank);
    if (wg__call_failed(c)) return;
    const wg_tensor sum = wg_add(x, wg__tensor(c, 1));
    const wg_tensor rows = axis < shape.rank - 1 ? wg_flatten(sum, axis, shape.rank - 1) : sum;
    wg__set(c, 0, wg_reshape(wg_softmax(rows, -1), shape), wg__type_of(c, 0));
}

const wg__onnx_row wg__onnx_contrib[] = {
    {"com.microsoft.Gelu", record_gelu, 1, 1, 1},
    {"com.microsoft.BiasGelu", record_gelu, 1, 2, 2},
    {"com.microsoft.FastGelu", record_fast_gelu, 1, 1, 2},
    {"com.microsoft.QuickGelu", record_quick_gelu, 1, 1, 1, "alpha=f"},
    {"com.microsoft.BiasSplitGelu", record_split_gelu, 1, 2, 2},
    {"com.microsoft.BiasAdd", record_bias_add, 1, 3, 3},
    {"com.microsoft.BiasSoftmax", record_bias_softmax, 1, 2, 2, "axis=i is_inner_broadcast=i"},
    {NULL},
};
