/* JPEG by libjpeg. */
#include "decode.h"

#include "file.h"

#ifdef WG_HAVE_JPEG
#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>
/* After it: which messages there are depends on its version. */
#include <jerror.h>

/* Of a progressive file, at most: each costs a pass over the picture. Encoders write about 10. */
enum { SCANS = 100 };

typedef struct jpeg_job {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    const wg__encoded *from;
    wg__raster *raster;
    wg_error *error;
    wg_status status; /* of our own checks */
    jmp_buf back;
    char reason[JMSG_LENGTH_MAX]; /* libjpeg's */
} jpeg_job;

/* ---- what libjpeg calls ---- */

static void on_error(j_common_ptr jpeg)
{
    jpeg_job *job = jpeg->client_data;
    jpeg->err->format_message(jpeg, job->reason);
    longjmp(job->back, 1);
}

/* A warning is an error if libjpeg has invented pixels for it. */
static void on_message(j_common_ptr jpeg, int level)
{
    static const int invents[] = {JWRN_ARITH_BAD_CODE, JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE, JWRN_JPEG_EOF,
                                  JWRN_MUST_RESYNC};
    for (size_t i = 0; level < 0 && i < sizeof invents / sizeof *invents; i++)
        if (jpeg->err->msg_code == invents[i]) on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg)
{
    jpeg_job *job = jpeg->client_data;
    if (job->jpeg.input_scan_number <= SCANS) return;
    snprintf(job->reason, sizeof job->reason, "more than %d scans", SCANS);
    longjmp(job->back, 1);
}

/* ---- decoding ---- */

static wg_status start(jpeg_job *job)
{
    j_decompress_ptr jpeg = &job->jpeg;
    const J_COLOR_SPACE space = jpeg->jpeg_color_space;
    if ((space != JCS_GRAYSCALE && space != JCS_RGB && space != JCS_YCbCr) || jpeg->data_precision != 8)
        return wg_error_set(job->error, WG_ERR_FORMAT,
                            WG__AT "a JPEG file that is neither gray nor RGB of 8 bits (CMYK?)", job->from->path);
    jpeg->out_color_space = space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
    *job->raster = (wg__raster){
        .channels = space == JCS_GRAYSCALE ? 1 : 3, .height = jpeg->image_height, .width = jpeg->image_width};
    /* A block of 8 x 8 pixels takes a bit, unless it is coded arithmetically. */
    const uint64_t blocks = (uint64_t)jpeg->image_height * jpeg->image_width / 64;
    return wg__raster_take(job->raster, job->from, jpeg->arith_code ? 0 : blocks / 8, job->error);
}

/* Jumps back to the caller's setjmp on an error of libjpeg. */
static void read_rows(jpeg_job *job)
{
    j_decompress_ptr jpeg = &job->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->progress = &job->progress;
    jpeg->mem->max_memory_to_use =
        (long)(job->from->limit < 1u << 30 ? 8 * job->from->limit + (1 << 20) : 1l << 33);
    jpeg_mem_src(jpeg, job->from->bytes, job->from->size);
    jpeg_read_header(jpeg, TRUE);
    job->status = start(job);
    if (job->status != WG_OK) return;
    jpeg_start_decompress(jpeg);
    const size_t stride = (size_t)job->raster->width * job->raster->channels;
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = job->raster->pixels + jpeg->output_scanline * stride;
        jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
}

static bool run(jpeg_job *job)
{
    if (setjmp(job->back)) return false;
    read_rows(job);
    return true;
}

wg_status wg__jpeg_decode(const wg__encoded *from, wg__raster *raster, wg_error *error)
{
    jpeg_job job = {.from = from, .raster = raster, .error = error};
    job.jpeg.err = jpeg_std_error(&job.errors);
    job.jpeg.client_data = &job;
    job.errors.error_exit = on_error;
    job.errors.emit_message = on_message;
    job.progress.progress_monitor = on_progress;
    const bool done = run(&job);
    const bool no_memory = job.errors.msg_code == JERR_OUT_OF_MEMORY;
    jpeg_destroy_decompress(&job.jpeg);
    if (done) return job.status;
    if (no_memory) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", from->path);
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "damaged JPEG file: %.120s", from->path, job.reason);
}
#else
wg_status wg__jpeg_decode(const wg__encoded *from, wg__raster *raster, wg_error *error)
{
    return wg_error_set(error, WG_ERR_IO, WG__AT "a JPEG file, but this library was built without libjpeg",
                        from->path);
}
#endif
