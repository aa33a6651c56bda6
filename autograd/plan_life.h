/* Internal. When values live, who reads them last, and what may be written over them. */
#ifndef WG_PLAN_LIFE_H
#define WG_PLAN_LIFE_H

#include "plan.h"

typedef struct wg__life {
    uint32_t first, last; /* stages; 0: never; first: 0 of sources */
    uint32_t read;        /* the last stage that reads it, ... */
    uint32_t reader;      /* ... the unit that does, + 1, or WG__SEVERAL, ... */
    uint32_t member;      /* ... and the last of its members, ... */
    bool whole;           /* ... which all see it as it stands, not through a view */
    uint32_t from;        /* what it takes the place of; 0: nothing */
} wg__life;

enum { WG__SEVERAL = UINT32_MAX };

/* [n] of nodes whose storage is their own; NULL when memory is out. */
wg__life *wg__lives_of(wg__planner *p);

/* ---- plan_over.c ---- */

/* Results of a chain take the place of operands that end with it. */
void wg__take_over(const wg__planner *p, wg__life *lives, uint32_t unit);

/* What is to be known of outputs that are written where they belong. */
typedef struct wg__homes {
    const wg__planner *p;
    const wg__life *lives;
    uint32_t checked; /* the last stage in which an index may turn out to be bad: from then on the run ends well */
    uint32_t *read;   /* leaves that are buffers and are read */
    uint32_t n_read;
} wg__homes;

bool wg__homes_init(wg__homes *h, const wg__planner *p, const wg__life *lives);
/* Gradients do, and assigned values that may be written over the buffer at once. */
bool wg__stands_at_home(const wg__homes *h, const wg__output *output);

#endif
