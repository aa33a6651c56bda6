/* Products of matrices. */
#include <stdio.h>
#include <string.h>

#include "activation.h"

/* Products of integers by way of f64. */
static wg_tensor product(wg_tensor a, wg_tensor b, int type)
{
    if (wg__type_is_float(type)) return wg_matmul(a, b);
    return wg_cast(wg_matmul(wg_cast(a, WG_F64), wg_cast(b, WG_F64)), WG_I32);
}

static void record_matmul(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    wg__set(c, 0, product(wg__tensor(c, 0), wg__tensor(c, 1), type), type);
}

/* Axis 0 behind those of the batch, if the attribute says so: [M, batch..., K] becomes [batch..., M, K]. */
static wg_tensor batch_first(const wg__call *c, wg_tensor x, const char *attribute)
{
    const int rank = wg_rank(x);
    if (rank < 3 || !wg__attribute_int(c->node, attribute, 0)) return x;
    wg_axes axes = {.n = rank};
    for (int i = 0; i < rank - 2; i++) axes.axis[i] = i + 1;
    axes.axis[rank - 2] = 0, axes.axis[rank - 1] = rank - 1;
    return wg_permute(x, axes);
}

/* alpha A' B'; a vector is not transposed. */
static wg_tensor scaled_product(wg__call *c)
{
    const double alpha = wg__attribute_float(c->node, "alpha", 1);
    wg_tensor a = batch_first(c, wg__tensor(c, 0), "transBatchA"),
              b = batch_first(c, wg__tensor(c, 1), "transBatchB");
    if (wg__attribute_int(c->node, "transA", 0) && wg_rank(a) != 1) a = wg_t(a);
    if (wg__attribute_int(c->node, "transB", 0) && wg_rank(b) != 1) b = wg_t(b);
    const wg_tensor y = product(a, b, wg__type_of(c, 0));
    return alpha != 1 ? wg_scale(y, alpha) : y;
}

static void record_fused_matmul(wg__call *c) { wg__set(c, 0, scaled_product(c), wg__type_of(c, 0)); }

/* alpha A' B' + beta C; if fused, through an activation. */
static void record_gemm(wg__call *c)
{
    const double beta = wg__attribute_float(c->node, "beta", 1);
    wg_tensor y = scaled_product(c);
    if (wg__has(c, 2)) y = wg_add(y, beta != 1 ? wg_scale(wg__tensor(c, 2), beta) : wg__tensor(c, 2));
    wg__set(c, 0, wg__activate(c, y), wg__type_of(c, 0));
}

/* ---- Einsum ---- */

enum { FORMULA = 256 };

/* Without "->": the axes of the ellipsis, and the letters that occur once, in the order of the alphabet. */
static void add_result(char *formula)
{
    if (strstr(formula, "->")) return;
    size_t n = strlen(formula);
    const char *end = formula + n;
    char result[64] = "...";
    int m = strstr(formula, "...") ? 3 : 0;
    for (int letter = 'A'; letter <= 'z'; letter++) {
        int count = 0;
        for (const char *at = formula; at < end; at++) count += *at == letter;
        if (count == 1) result[m++] = (char)letter;
    }
    result[m] = 0;
    snprintf(formula + n, FORMULA + 66 - n, "->%s", result);
}

static void record_einsum(wg__call *c)
{
    wg__attribute a;
    char formula[FORMULA + 66] = "";
    wg__attribute_find(c->node, "equation", &a);
    if (a.text.size >= FORMULA) {
        wg__call_fail(c, WG_ERR_ARGUMENT, "the equation has %zu bytes, more than %d", a.text.size, FORMULA - 1);
        return;
    }
    if (a.text.size) memcpy(formula, a.text.data, a.text.size);
    wg_tensor *x = wg__arena_array(c->arena, (uint64_t)c->n_in, sizeof *x);
    if (!x) {
        wg__call_fail(c, WG_ERR_MEMORY, "out of memory");
        return;
    }
    add_result(formula);
    for (int k = 0; k < c->n_in; k++) x[k] = wg__tensor(c, k);
    wg__set(c, 0, wg_einsum(formula, x, c->n_in), wg__type_of(c, 0));
}

const wg__onnx_row wg__onnx_product[] = {
    {"MatMul", record_matmul, 6, 2, 2},
    {"Gemm", record_gemm, 6, 2, 3, "alpha=f beta=f broadcast=i transA=i transB=i"},
    {"com.microsoft.FusedMatMul", record_fused_matmul, 1, 2, 2,
     "alpha=f transA=i transB=i transBatchA=i transBatchB=i"},
    {"com.microsoft.TransposeMatMul", record_fused_matmul, 1, 2, 2, "alpha=f transA=i transB=i"},
    {"com.microsoft.FusedGemm", record_gemm, 1, 2, 3,
     "activation=s activation_alpha=f activation_beta=f activation_gamma=f alpha=f beta=f transA=i transB=i",
     .refuse = wg__refuse_activation},
    {"Einsum", record_einsum, 12, 1, -1, "equation=s"},
    {NULL},
};
