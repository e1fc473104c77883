/* What libjpeg-turbo alone takes for JPEG frames: FILE of (uint32 length, bytes) pairs; prints CPU seconds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <jpeglib.h>

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!file) return 2;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    unsigned char *stored = malloc(size), *pixels = malloc(3 * 1024 * 1024);
    if (fread(stored, 1, size, file) != (size_t)size) return 2;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&jpeg);
    clock_t start = clock();
    for (long at = 0; at < size;) {
        unsigned length;
        memcpy(&length, stored + at, 4);
        jpeg_mem_src(&jpeg, stored + at + 4, length);
        jpeg_read_header(&jpeg, TRUE);
        jpeg.out_color_space = JCS_RGB;
        jpeg_start_decompress(&jpeg);
        while (jpeg.output_scanline < jpeg.output_height) {
            JSAMPROW row = pixels + (size_t)jpeg.output_scanline * jpeg.output_width * 3;
            jpeg_read_scanlines(&jpeg, &row, 1);
        }
        jpeg_finish_decompress(&jpeg);
        at += 4 + length;
    }
    printf("%.6f\n", (double)(clock() - start) / CLOCKS_PER_SEC);
    return 0;
}
