/* PNG by libpng. */
#include "decode.h"

#include "file.h"

#ifdef WG_HAVE_PNG
#include <png.h>
#include <stdlib.h>
#include <string.h>

enum { DEFLATE_RATIO = 1032 }; /* no stream of deflate becomes longer by more */

typedef struct png_job {
    const wg__encoded *from;
    wg__raster *raster;
    wg_error *error;
    png_structp png;
    png_infop info;
    size_t at; /* bytes of the file that libpng has read */
    bool no_memory;
    wg_status status; /* of our own checks */
    char reason[96];  /* libpng's */
} png_job;

/* ---- what libpng calls ---- */

static void on_error(png_structp png, png_const_charp text)
{
    png_job *job = png_get_error_ptr(png);
    snprintf(job->reason, sizeof job->reason, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {}

static void *take_memory(png_structp png, size_t size)
{
    png_job *job = png_get_mem_ptr(png);
    void *memory = malloc(size);
    job->no_memory |= !memory;
    return memory;
}

static void free_memory(png_structp png, void *memory) { free(memory); }

static void read_bytes(png_structp png, png_bytep to, size_t size)
{
    png_job *job = png_get_io_ptr(png);
    if (size > job->from->size - job->at) png_error(png, "the file is truncated");
    memcpy(to, job->from->bytes + job->at, size);
    job->at += size;
}

/* ---- decoding ---- */

/* One or three channels of 8 bits. */
static void set_format(png_structp png)
{
    png_set_palette_to_rgb(png);
    png_set_expand_gray_1_2_4_to_8(png);
    png_set_scale_16(png);
    png_set_strip_alpha(png);
}

/* Jumps back to the caller's setjmp on an error of libpng. */
static void read_rows(png_job *job)
{
    png_structp png = job->png;
    png_set_read_fn(png, job, read_bytes);
    png_read_info(png, job->info);
    const uint64_t row = png_get_rowbytes(png, job->info) + 1;
    *job->raster = (wg__raster){.channels = png_get_color_type(png, job->info) & PNG_COLOR_MASK_COLOR ? 3 : 1,
                                .height = png_get_image_height(png, job->info),
                                .width = png_get_image_width(png, job->info)};
    job->status = wg__raster_take(job->raster, job->from, row * job->raster->height / DEFLATE_RATIO, job->error);
    if (job->status != WG_OK) return;
    set_format(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, job->info);
    const size_t stride = (size_t)job->raster->width * job->raster->channels;
    if (png_get_rowbytes(png, job->info) != stride) png_error(png, "an unknown layout of pixels");
    for (int pass = 0; pass < passes; pass++)
        for (size_t i = 0; i < job->raster->height; i++) png_read_row(png, job->raster->pixels + i * stride, NULL);
    png_read_end(png, NULL);
}

static bool run(png_job *job)
{
    if (setjmp(png_jmpbuf(job->png))) return false;
    read_rows(job);
    return true;
}

wg_status wg__png_decode(const wg__encoded *from, wg__raster *raster, wg_error *error)
{
    png_job job = {.from = from, .raster = raster, .error = error};
    job.png =
        png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &job, on_error, on_warning, &job, take_memory, free_memory);
    job.info = job.png ? png_create_info_struct(job.png) : NULL;
    const bool begun = job.info != NULL, done = begun && run(&job);
    if (job.png) png_destroy_read_struct(&job.png, &job.info, NULL);
    if (done) return job.status;
    if (!begun || job.no_memory) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", from->path);
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "damaged PNG file: %s", from->path, job.reason);
}
#else
wg_status wg__png_decode(const wg__encoded *from, wg__raster *raster, wg_error *error)
{
    return wg_error_set(error, WG_ERR_IO, WG__AT "a PNG file, but this library was built without libpng",
                        from->path);
}
#endif
