/* Wengert on many machines: link with libwengert-dist (pkg-config wengert-dist). */
#ifndef WENGERT_DIST_H
#define WENGERT_DIST_H

#include "wengert.h"

#include "dist/dist.h"

#endif
