/* Internal to io/: what saving and loading a checkpoint share. */
#ifndef WG_CHECKPOINT_H
#define WG_CHECKPOINT_H

#include "../optim/optim.h"
#include "safetensors.h"

#define KEY_STEP            WG__RESERVED "step"
#define KEY_SEED            WG__RESERVED "seed"
#define KEY_VERSION         WG__RESERVED "version"
#define KEY_OPTIMIZER       WG__RESERVED "optimizer"
#define KEY_OPTIMIZER_STEPS WG__RESERVED "optimizer_steps"
#define STATE_PREFIX        "optim."

/* Makes the optimizer's arrays for every parameter that it trains. WG_ERR_ARGUMENT if those are of another set: its
 * state would be taken for that of parameters with the same names. */
wg_status wg__checkpoint_adopt(const char *path, const wg_checkpoint *checkpoint, wg_error *error);

#endif
