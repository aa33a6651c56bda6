/* The table of operators: a list of families. */
#include <string.h>

#include "internal.h"

static const wg__onnx_row *const families[] = {
    wg__onnx_pointwise,       wg__onnx_logic,   wg__onnx_shape,  wg__onnx_join,    wg__onnx_make,
    wg__onnx_reduce,          wg__onnx_product, wg__onnx_conv,   wg__onnx_pool,    wg__onnx_norm,
    wg__onnx_recurrent,       wg__onnx_index,   wg__onnx_select, wg__onnx_control, wg__onnx_attention,
    wg__onnx_quantize,        wg__onnx_resize,  wg__onnx_loss,   wg__onnx_sample,  wg__onnx_contrib,
    wg__onnx_fused_attention,
};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

/* Whether the row is that of the operator. */
static bool is_row(const wg__onnx_row *row, const char *domain, const char *name)
{
    const size_t n = strlen(domain);
    if (n == 0) return strcmp(row->name, name) == 0;
    return strncmp(row->name, domain, n) == 0 && row->name[n] == '.' && strcmp(row->name + n + 1, name) == 0;
}

const wg__onnx_row *wg__onnx_find(const char *domain, const char *name)
{
    for (int f = 0; f < N_FAMILIES; f++)
        for (const wg__onnx_row *row = families[f]; row->name; row++)
            if (is_row(row, domain, name)) return row;
    return NULL;
}

const char *wg_onnx_operator(size_t index)
{
    for (int f = 0; f < N_FAMILIES; f++)
        for (const wg__onnx_row *row = families[f]; row->name; row++)
            if (index-- == 0) return row->name;
    return NULL;
}

/* By the beginning of the operator's name. */
static const struct {
    const char *name, *instead;
} hints[] = {
    {"Sequence", "sequences of tensors are not known; export with tensors, or split the model before"},
    {"SplitToSequence", "sequences of tensors are not known; use Split"},
    {"ConcatFromSequence", "sequences of tensors are not known; use Concat"},
    {"Optional", "optional values are not known; export with tensors"},
    {"String", "strings are not known; prepare text before the model"},
    {"Regex", "strings are not known; prepare text before the model"},
    {"TfIdf", "strings are not known; prepare text before the model"},
    {"ImageDecoder", "read pictures by io/picture.h"},
    {"QLinear", "export with QuantizeLinear and DequantizeLinear (QDQ), or the model before quantization"},
    {"ConvInteger", "export the model before quantization, or with QuantizeLinear and DequantizeLinear"},
    {"MatMulInteger", "export the model before quantization, or with QuantizeLinear and DequantizeLinear"},
    {"Unique", "its size depends on values that are known when the program runs; do it before the model"},
    {"NonMaxSuppression", "its size depends on values that are known when the program runs; do it after the model"},
    {"Random", "draw numbers before the model and make them an input"},
};

const char *wg__onnx_instead(const char *domain, const char *name)
{
    if (strncmp(domain, "com.microsoft", 13) == 0)
        return "of ONNX Runtime's operators those in docs/onnx.md are known: export with fewer optimizations";
    if (strncmp(domain, "ai.onnx.ml", 10) == 0)
        return "of ai.onnx.ml nothing is known; compute it outside of the model";
    if (strncmp(domain, "ai.onnx.preview", 15) == 0) return "train by an optimizer of wg_onnx_params";
    if (*domain && strcmp(domain, "ai.onnx") != 0)
        return "the file has no function of that name: write its functions into it, or rewrite it with operators "
               "of "
               "the default domain";
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (strncmp(name, hints[i].name, strlen(hints[i].name)) == 0) return hints[i].instead;
    return "rewrite it with other operators before the export, or cut the model there and record ops in C";
}
