/* Internal. The ground floor of autograd, its own files: what a user forces (evaluate, read, differentiate into
 * parameters, check gradients), making and freeing a tape, and dumps. They may use all rooms; no room uses them.
 *
 *     base  <-  tape  <-  grad  <-  plan  <-  run  <-  autograd */
#ifndef WG_ENGINE_H
#define WG_ENGINE_H

#include "plan/pipeline.h"
#include "run/run.h"
#include "trace.h"

/* wg_tape_new with the table of ops/. */
wg_tape *wg__tape_new(wg_tape_options options, const wg__structural *structural);
/* Computes what is wanted and whatever was kept or assigned. */
wg_status wg__force(wg_tape *tape, const wg__wanted *wanted);
/* The option eager: computes a node as soon as it is recorded. */
wg_status wg__run_now(wg_tape *tape, uint32_t node);

#endif
