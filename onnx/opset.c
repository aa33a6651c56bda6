/* Versions of the default domain's operators, which a model and each of its functions import: which ones are known. */
#include <limits.h>

#include "parse.h"

enum { LEAST_OPSET = 6, LARGEST_OPSET = 28 };

int wg__parse_opset(wg__span message)
{
    wg__span domain = {0};
    uint64_t version = 0;
    wg__wire wire = wg__wire_of(message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (wg__field_is_bytes(&f, 1)) domain = f.bytes;
        if (wg__field_is_integer(&f, 2)) version = f.integer;
    }
    if (domain.size && !wg__span_is(domain, "ai.onnx")) return 0;
    return version < INT_MAX ? (int)version : INT_MAX;
}

bool wg__opset_is_known(const wg_onnx *m, int opset, wg_error *error)
{
    return (opset >= LEAST_OPSET && opset <= LARGEST_OPSET) ||
           wg__onnx_refuse(m, error, "opset %d; %d to %d are known: see onnx.version_converter", opset, LEAST_OPSET,
                           LARGEST_OPSET);
}
