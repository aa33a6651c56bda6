/* Internal to io/: what saving and loading a checkpoint share. */
#ifndef WG_CHECKPOINT_H
#define WG_CHECKPOINT_H

#include "../optim/optim.h"
#include "safetensors.h"

#include <string.h>

#define KEY_STEP            WG__RESERVED "step"
#define KEY_SEED            WG__RESERVED "seed"
#define KEY_VERSION         WG__RESERVED "version"
#define KEY_OPTIMIZER       WG__RESERVED "optimizer"
#define KEY_OPTIMIZER_STEPS WG__RESERVED "optimizer_steps"
#define STATE_PREFIX        "optim."

/* WG_ERR_ARGUMENT if the program's metadata is NULL, or has a key that is the library's. Inline, since dist/ is another
 * library. */
static inline wg_status wg__checkpoint_check_metadata(const char *path, const wg_checkpoint *c, wg_error *error)
{
    if (c->n_metadata > 0 && !c->metadata)
        return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "metadata is NULL, with n_metadata > 0", path);
    for (size_t i = 0; i < c->n_metadata; i++)
        if (c->metadata[i].key && strncmp(c->metadata[i].key, WG__RESERVED, sizeof WG__RESERVED - 1) == 0)
            return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "%.80s: keys that begin with \"%s\" are reserved",
                                path, c->metadata[i].key, WG__RESERVED);
    return WG_OK;
}

/* Makes the optimizer's arrays for every parameter that it trains. WG_ERR_ARGUMENT if those are of another set: its
 * state would be taken for that of parameters with the same names. Also if it has only a part of its state: the arrays
 * are shorter than their shapes say. */
wg_status wg__checkpoint_adopt(const char *path, const wg_checkpoint *checkpoint, wg_error *error);

#endif
