/* Internal to io/: NumPy's .npy format, alone in a file or as the members of an .npz (zip) archive.
 * Format: numpy.lib.format (NEP 1): "\x93NUMPY", the version, the length of the header, the header (a Python dict with
 * descr, fortran_order and shape), the elements. */
#ifndef WG_NPY_H
#define WG_NPY_H

#include "zip.h"

/* Reads all members of an archive, which must be .npy files, as tensors. */
wg_status wg__read_npz(wg_safetensors *file, wg__zip *zip, wg_error *error);

#endif
