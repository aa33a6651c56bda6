/* The gradient check: compares derivatives of the tape with central differences, in f64 and by signed value.
 *
 *     static wg_tensor loss_of(void *context, wg_tape *tape, wg_params *set)
 *     {
 *         wg_tensor w = wg_use(tape, wg_param_find(set, "w"));
 *         return wg_mean_all(wg_square(wg_tanh(w)));
 *     }
 *     wg_params *set = wg_params_new(WG_F64);
 *     wg_param_new(set, "w", WG_DIMS(3, 4), wg_init_normal(0, 1));
 *     wg_verdict verdict = wg_gradcheck(tape, set, loss_of, NULL, wg_gradcheck_defaults());
 *     printf("%s\n", verdict.text); */
#ifndef WG_GRADCHECK_H
#define WG_GRADCHECK_H

#include "param.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Records and returns the scalar loss of the parameters of the set (through wg_use). Every call must record the same
 * program with the same data. */
typedef wg_tensor (*wg_loss_fn)(void *context, wg_tape *tape, wg_params *set);

/* What is compared, and how closely. */
typedef struct wg_gradcheck_options {
    double epsilon;    /* step of the central difference; default 1e-6 */
    double atol, rtol; /* passes if |analytic - numeric| <= atol + rtol |numeric|; defaults 1e-7, 1e-5 */
    int directions;    /* random directions over all parameters together; default 4 */
    int elements;      /* elements of each parameter that are checked one by one; default 20; < 0: all */
    bool second_order; /* also check d/dp of (gradient . random vector); default false */
    uint64_t seed;     /* of the directions and the choice of elements; default 0 */
} wg_gradcheck_options;

WG_API wg_gradcheck_options wg_gradcheck_defaults(void);

/* The result of a check, with its largest error. */
typedef struct wg_verdict {
    bool ok;           /* all comparisons passed */
    wg_status status;  /* not WG_OK: the options are invalid, or the loss failed to record or run; see text */
    const char *param; /* the largest error: parameter, ... */
    int64_t index;     /* ... element (-1: a random direction), ... */
    double analytic;   /* ... derivative by the tape, ... */
    double numeric;    /* ... derivative by the central difference, ... */
    double excess;     /* ... |analytic - numeric| / (atol + rtol |numeric|): passes if <= 1, ... */
    int order;         /* ... order of the derivative, 1 or 2 */
    int64_t checks;    /* comparisons made */
    char text[256];    /* summary or error message, one line */
} wg_verdict;

/* Checks d loss / d p for all parameters p of the set, which must be f64; frozen ones are not checked. WG_ERR_ARGUMENT
 * if there is none to check. Restores values and leaves gradients unchanged. Resets the tape. */
WG_API wg_verdict wg_gradcheck(wg_tape *tape, wg_params *set, wg_loss_fn loss, void *context,
                               wg_gradcheck_options options);

#ifdef __cplusplus
}
#endif
#endif
