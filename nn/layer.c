/* Helpers that layers share: members of a set by name, scopes. */
#include "internal.h"

#include <stdio.h>

/* "layer.name"; empty if it does not fit, which the set rejects. */
static const char *join_name(const char *layer, const char *name, char *text, size_t size)
{
    bool named = layer && layer[0];
    int length = snprintf(text, size, "%s%s%s", named ? layer : "", named ? "." : "", name);
    return length < (int)size ? text : "";
}

wg_param *wg__layer_param(wg_params *set, const char *layer, const char *name, wg_shape shape, wg_init init)
{
    char text[512];
    return wg_param_new(set, join_name(layer, name, text, sizeof text), shape, init);
}

wg_buffer *wg__layer_buffer(wg_params *set, const char *layer, const char *name, wg_shape shape, wg_init init)
{
    char text[512];
    return wg_buffer_new(set, join_name(layer, name, text, sizeof text), shape, init);
}

wg_status wg__null_init(wg_params *set, const char *kind, const char *name)
{
    return wg_params_fail(set, WG_ERR_ARGUMENT, "%s %s: the layer is NULL", kind, name ? name : "");
}

wg_tensor wg__null_apply(wg_tensor x, const char *op)
{
    return wg_fail(x, WG_ERR_ARGUMENT, op, "the layer is NULL, or another argument that is needed");
}

wg_tensor wg__use_or_none(wg_tape *tape, wg_param *param) { return param ? wg_use(tape, param) : WG_NONE; }

void wg__layer_scope_begin(wg_tape *tape, int l)
{
    char name[16];
    snprintf(name, sizeof name, "l%d", l);
    wg_scope_begin(tape, name);
}
