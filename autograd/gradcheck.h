/* The gradient check: compares derivatives on the tape with central differences, in f64 and signed. */
#ifndef WG_GRADCHECK_H
#define WG_GRADCHECK_H

#include "param.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Records the scalar loss from the parameters of the set (through wg_use). Must record the same program
 * with the same data each time it is called. */
typedef wg_tensor (*wg_loss_fn)(void *context, wg_tape *tape, wg_params *set);

typedef struct wg_gradcheck_options {
    double epsilon;    /* step of the central difference; default 1e-6 */
    double atol, rtol; /* |a - n| <= atol + rtol * |n|; defaults 1e-7, 1e-5 */
    int directions;    /* random directions over all parameters at once; default 4 */
    int elements;      /* elements checked one by one in each parameter; default 20; < 0: all */
    bool second_order; /* also d/dp of (gradient . random vector); default false */
    uint64_t seed;     /* of directions and choice of elements; default 0 */
} wg_gradcheck_options;

WG_API wg_gradcheck_options wg_gradcheck_defaults(void);

typedef struct wg_verdict {
    bool ok;
    wg_status status;  /* other than WG_OK: the model could not be recorded or run; see text */
    const char *param; /* the worst disagreement: parameter, ... */
    int64_t index;     /* ... its element (-1: a random direction), ... */
    double analytic;   /* ... what the tape says and ... */
    double numeric;    /* ... what the difference says */
    double excess;     /* |a - n| / (atol + rtol |n|): <= 1 passes */
    int order;         /* 1 or 2 */
    int64_t checks;    /* comparisons made */
    char text[256];    /* one line */
} wg_verdict;

/* Checks d loss / d p for all parameters p of the set, which must be f64. Values and gradients are as
 * before when it returns. The tape is reset. */
WG_API wg_verdict wg_gradcheck(wg_tape *tape, wg_params *set, wg_loss_fn loss, void *context,
                               wg_gradcheck_options options);

#ifdef __cplusplus
}
#endif
#endif
