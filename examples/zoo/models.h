/* Where fetch.py puts the models. */
#ifndef MODELS_H
#define MODELS_H

/* The path of a file in the folder: that given, or $WG_ZOO, or ~/.cache/wengert-zoo. The caller frees it. */
char *models_path(const char *folder, const char *file);

#endif
