/* Errors of a tape. The first one since the reset is kept, since later ones usually follow from it. */
#include "graph.h"

#include <stdio.h>

wg_status wg_tape_status(const wg_tape *tape) { return tape ? tape->errors.first.status : WG_ERR_ARGUMENT; }

const char *wg_tape_message(const wg_tape *tape)
{
    if (!tape) return "no tape";
    return wg__failed(tape) ? tape->errors.first.text : tape->errors.previous.text;
}

void wg_tape_on_error(wg_tape *tape, wg_error_callback callback, void *context)
{
    if (!tape) return;
    tape->errors.callback = callback;
    tape->errors.context = context;
}

wg_status wg__tape_error(wg_tape *tape, wg_status status, const char *format, ...)
{
    if (wg__failed(tape)) return tape->errors.first.status;
    va_list arguments;
    va_start(arguments, format);
    wg_error_setv(&tape->errors.first, status, format, arguments);
    va_end(arguments);
    tape->modes.calls++;
    if (tape->errors.callback) tape->errors.callback(tape->errors.context, status, tape->errors.first.text);
    tape->modes.calls--;
    return status;
}

bool wg__may_record(wg_tape *tape, const char *what)
{
    const wg__modes *modes = &tape->modes;
    const bool inside = modes->calls > 0 || (modes->planning && !modes->differentiating);
    if (inside)
        wg_fail_on(tape, WG_ERR_ARGUMENT, what,
                   "called from inside of another call on the tape; only derivative rules record");
    return !inside;
}

wg_status wg__out_of_memory(wg_tape *tape)
{
    return wg__tape_error(tape, WG_ERR_MEMORY, "out of memory (%zu bytes live)", tape->heap.memory.live);
}

const char *wg__scope_label(const wg_tape *tape, uint32_t scope, wg__scope_text *label)
{
    assert(scope < tape->scopes.n);
    const char *path = tape->scopes.list[scope].path;
    char shown[sizeof label->text - 4];
    label->text[0] = 0;
    if (path[0]) snprintf(label->text, sizeof label->text, " [%s]", wg_printable(path, shown, sizeof shown));
    return label->text;
}

/* ---- for op functions and shape rules ------------------------------------------------------------------------ */

wg_status wg_infer_fail(wg_infer *infer, wg_status status, const char *rule, ...)
{
    va_list arguments;
    va_start(arguments, rule);
    if (infer) wg_error_setv(&infer->error, status, rule, arguments);
    va_end(arguments);
    return status;
}

static wg_tensor failv(wg_tape *tape, wg_status status, const char *op, const char *rule, va_list arguments)
{
    if (!tape) return WG_NONE;
    char text[256];
    vsnprintf(text, sizeof text, rule ? rule : "", arguments);
    wg__scope_text scope;
    wg__tape_error(tape, status, "%s%s: %s", op, wg__scope_label(tape, tape->scopes.current, &scope), text);
    return wg__nil(tape);
}

wg_tensor wg_fail(wg_tensor on, wg_status status, const char *op, const char *rule, ...)
{
    va_list arguments;
    va_start(arguments, rule);
    wg_tensor result = failv(on.tape, status, op, rule, arguments);
    va_end(arguments);
    return result;
}

wg_tensor wg_fail_on(wg_tape *tape, wg_status status, const char *op, const char *rule, ...)
{
    va_list arguments;
    va_start(arguments, rule);
    wg_tensor result = failv(tape, status, op, rule, arguments);
    va_end(arguments);
    return result;
}
