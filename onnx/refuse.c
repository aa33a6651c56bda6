/* Errors of a file. */
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

bool wg__onnx_refuse(const wg_onnx *model, wg_error *error, const char *format, ...)
{
    char text[sizeof error->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    wg_error_set(error, WG_ERR_FORMAT, "%.120s: %s", model->folder.path, text);
    return false;
}

bool wg__onnx_memory(const wg_onnx *model, wg_error *error)
{
    wg_error_set(error, WG_ERR_MEMORY, "%.160s: out of memory", model->folder.path);
    return false;
}
