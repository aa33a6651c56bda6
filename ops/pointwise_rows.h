/* Internal. The rows of pointwise.def by number: ROW_add, .... */
#ifndef WG_POINTWISE_ROWS_H
#define WG_POINTWISE_ROWS_H

enum {
#define ROW(name) ROW_##name,
#include "pointwise.def"
#undef ROW
    ROWS
};

#endif
