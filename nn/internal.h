/* Internal to nn/: the parameters of a layer by name. */
#ifndef WG_NN_INTERNAL_H
#define WG_NN_INTERNAL_H

#include "nn.h"

/* Makes the parameter (or buffer) "layer.name"; just "name" where the layer has none. NULL on error, which stays on
 * the set. */
wg_param *wg__layer_param(wg_params *set, const char *layer, const char *name, wg_shape shape, wg_init init);
wg_buffer *wg__layer_buffer(wg_params *set, const char *layer, const char *name, wg_shape shape, wg_init init);

#endif
