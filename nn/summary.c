/* A table of a model's parameters, as text. */
#include "nn.h"

#include <stdio.h>
#include <string.h>

typedef struct writer {
    char *text;
    size_t size, length; /* length includes the text that did not fit */
} writer;

static void put(writer *w, const char *format, ...) WG_PRINTF(2, 3);
static void put(writer *w, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool room = w->length < w->size;
    int n = vsnprintf(room ? w->text + w->length : NULL, room ? w->size - w->length : 0, format, arguments);
    va_end(arguments);
    if (n > 0) w->length += (size_t)n;
}

size_t wg_summary(const wg_params *set, char *text, size_t size)
{
    writer w = {.text = text, .size = size};
    if (!text) w.size = size = 0;
    if (size > 0) text[0] = '\0';
    size_t count = wg_params_count(set);
    int64_t total = 0;
    int width = 4;
    char shown[512], other[512];
    for (size_t i = 0; i < count; i++) {
        int length = (int)strlen(wg_printable(wg_params_name_at(set, i), shown, sizeof shown));
        if (length > width) width = length;
    }
    put(&w, "%-*s  %-16s %12s\n", width, "name", "shape", "elements");
    for (size_t i = 0; i < count; i++) {
        const wg_param *param = wg_params_at(set, i);
        const char *name = wg_params_name_at(set, i);
        const bool tied = wg_param_index(param) != i, buffer = wg_param_is_buffer(param);
        wg_shape shape = wg_param_shape(param);
        char dims[128];
        put(&w, "%-*s  %-16s %12lld", width, wg_printable(name, shown, sizeof shown),
            wg_shape_text(&shape, dims, sizeof dims), (long long)wg_param_numel(param));
        if (tied)
            put(&w, "  tied to %s", wg_printable(wg_param_name(param), other, sizeof other));
        else if (buffer)
            put(&w, "  buffer");
        if (wg_param_is_frozen(param)) put(&w, "  frozen");
        put(&w, "\n");
        if (!tied && !buffer) total += wg_param_numel(param);
    }
    put(&w, "parameters: %lld, trained: %lld (%s)\n", (long long)total, (long long)wg_params_trainable(set),
        wg_dtype_name(wg_params_storage(set)));
    return w.length;
}
