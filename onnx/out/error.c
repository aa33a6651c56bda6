/* The first error of a model that is written. */
#include "writer.h"

#include <stdio.h>

bool wg__out_failed(const wg__out *o) { return o->error->status != WG_OK; }

void wg__out_fail(wg__out *o, wg_status status, const char *rule, ...)
{
    char text[240], label[96] = "";
    va_list arguments;
    va_start(arguments, rule);
    vsnprintf(text, sizeof text, rule, arguments);
    va_end(arguments);
    if (o->number) {
        const char *name = o->at.param ? wg_param_name(o->at.param) : o->marks[o->number].name;
        const char *op = o->at.op ? o->at.op->name : name ? name : "data";
        snprintf(label, sizeof label, *o->at.scope ? "%.40s [%.40s]: " : "%.40s: ", op, o->at.scope);
    }
    wg_error_set(o->error, status, "onnx_write: %s%s", label, text);
}
