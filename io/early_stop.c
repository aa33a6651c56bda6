/* Early stopping, with the best checkpoint saved. */
#include "io.h"

#include <math.h>

wg_early_stop wg_early_stop_defaults(void) { return (wg_early_stop){.patience = 5, .best = NAN}; }

static bool is_better(const wg_early_stop *s, double number)
{
    if (isnan(number)) return false;
    if (isnan(s->best)) return true;
    return s->higher ? number > s->best + s->min_delta : number < s->best - s->min_delta;
}

wg_status wg_early_stop_update(wg_early_stop *s, double number, const wg_checkpoint *checkpoint, wg_error *error)
{
    if (!s || (s->path && !checkpoint))
        return wg_error_set(error, WG_ERR_ARGUMENT, "early stop: %s is NULL", s ? "checkpoint" : "stop");
    if (!is_better(s, number)) {
        s->since++;
        return WG_OK;
    }
    if (s->path) {
        wg_status status = wg_checkpoint_save(s->path, checkpoint, error);
        if (status != WG_OK) return status;
    }
    s->best = number;
    s->step = checkpoint ? checkpoint->step : 0;
    s->since = 0;
    return WG_OK;
}

bool wg_early_stop_due(const wg_early_stop *s) { return s && s->since >= s->patience; }

wg_status wg_early_stop_restore(const wg_early_stop *s, wg_checkpoint *checkpoint, wg_error *error)
{
    if (!s || !s->path || isnan(s->best))
        return wg_error_set(error, WG_ERR_ARGUMENT, "early stop: no best checkpoint was saved");
    wg_error reason = {0};
    wg_safetensors *file = wg_safetensors_open(s->path, &reason);
    if (!file) return wg_error_set(error, reason.status, "%s", reason.text);
    wg_status status = wg_checkpoint_load(file, checkpoint, NULL, NULL, error);
    wg_safetensors_close(file);
    return status;
}
