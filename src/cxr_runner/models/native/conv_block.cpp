// A block of the study's CNN, conv-ReLU-conv-maxpool-ReLU, forward and backward, a few rows at a time.
//
// A convolution of ten channels does little work for every number that it reads, and layer after layer each writes all
// of its activations to memory, from which the next one reads them back. Here only a few rows of each layer exist at a
// time, in the cache, and the backward pass computes the first layer's activations anew instead of keeping them.
//
// An image is computed by one thread, in one order, so that its numbers depend neither on the number of threads nor on
// the images beside it. Rows are planar, [channel][stride]: pixels of a channel beside each other, zeros around them.
//
// Compiled with INPUTS (channels of the images), FILTERS (channels of both convolutions) and SIDE (of the filters).
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#if defined(__AVX512F__)
constexpr int LANES = 16, REGISTERS = 32;
#elif defined(__AVX__)
constexpr int LANES = 8, REGISTERS = 16;
#elif defined(__aarch64__)
constexpr int LANES = 4, REGISTERS = 32;
#else
constexpr int LANES = 4, REGISTERS = 16;
#endif
constexpr int PAD = SIDE / 2;
constexpr int LINE = 16;  // floats of a line of the cache
constexpr int STRIP = 4;  // rows that are computed at once in the backward pass; even, for the pooling
constexpr int FIRST_TERMS = FILTERS * INPUTS * SIDE * SIDE, SECOND_TERMS = FILTERS * FILTERS * SIDE * SIDE;
constexpr int TERMS = FIRST_TERMS + FILTERS + SECOND_TERMS + FILTERS;  // weights and biases of both convolutions

typedef float Vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint8_t Bytes __attribute__((vector_size(LANES), aligned(1), may_alias));
#define INLINE inline __attribute__((always_inline))
#define EACH(...) [&](__VA_ARGS__) __attribute__((always_inline))  // so that sums stay in registers

INLINE Vec load(const float* from) { return *(const Vec*)from; }
INLINE void store(float* to, Vec value) { *(Vec*)to = value; }
INLINE Vec relu(Vec value) { return value <= 0 ? Vec{} : value; }  // NaN stays NaN
INLINE int round_up(int number, int step) { return (number + step - 1) / step * step; }

// Call body(0), body(1), ..., body(N - 1) with constants, so that what they index can stay in registers.
template <class Body, int... I>
INLINE void unroll(Body body, std::integer_sequence<int, I...>) { (body(std::integral_constant<int, I>{}), ...); }
template <int N, class Body>
INLINE void unroll(Body body) { unroll(body, std::make_integer_sequence<int, N>{}); }

// Cut COUNT channels into parts of about the same size, of MOST at most; call body(first, number) for each of them.
template <int COUNT, int MOST, class Body>
INLINE void in_parts(Body body) {
    constexpr int PARTS = (COUNT + MOST - 1) / MOST;
    unroll<PARTS>(EACH(auto part) {
        constexpr int first = decltype(part)::value * COUNT / PARTS, end = (decltype(part)::value + 1) * COUNT / PARTS;
        body(std::integral_constant<int, first>{}, std::integral_constant<int, end - first>{});
    });
}

struct Size {
    int height, width;
    // An odd number of lines, so that channels do not compete for the same places of the cache.
    int stride() const { return (round_up(width, 2 * LINE) / LINE + 3) * LINE; }
};

// The last rows of a layer of one image. Those above and below the image are zero, and must stay so.
class Rows {
    int height, slots, row_size;
    std::vector<float> data;

  public:
    Rows(int channels, Size size, int slots)
        : height(size.height), slots(slots), row_size(channels * size.stride()),
          data((size_t)(slots + 1) * row_size + 2 * LINE) {}
    float* at(int row) {
        float* aligned = (float*)(((uintptr_t)data.data() + 4 * LINE - 1) / (4 * LINE) * (4 * LINE));
        return aligned + (size_t)(row < 0 || row >= height ? slots : row % slots) * row_size + LINE;
    }
    template <int COUNT> void around(int row, const float* (&rows)[COUNT]) {
        for (int number = 0; number < COUNT; ++number) rows[number] = at(row + number - PAD);
    }
};

// A convolution to channels FIRST to FIRST + COUNT of one row, VECS * LANES pixels from x on.
template <int IN, int OUT, int FIRST, int COUNT, int VECS>
INLINE void convolve_pixels(
    const float* const (&rows)[SIDE], const float* weights, const float* bias, float* out, int stride, int x) {
    Vec sums[COUNT][VECS];
    unroll<COUNT>(EACH(auto o) { unroll<VECS>(EACH(auto v) { sums[o][v] = Vec{} + (bias ? bias[FIRST + o] : 0); }); });
    for (int in = 0; in < IN; ++in)
        for (int down = 0; down < SIDE; ++down) {
            const float* pixels = rows[down] + in * stride + x - PAD;
            const float* terms = weights + (in * SIDE + down) * SIDE * OUT + FIRST;
            unroll<SIDE>(EACH(auto right) {
                Vec values[VECS];
                unroll<VECS>(EACH(auto v) { values[v] = load(pixels + right + v * LANES); });
                unroll<COUNT>(EACH(auto o) {
                    unroll<VECS>(EACH(auto v) { sums[o][v] += terms[right * OUT + o] * values[v]; });
                });
            });
        }
    unroll<COUNT>(EACH(auto o) {
        unroll<VECS>(EACH(auto v) { store(out + (FIRST + o) * stride + x + v * LANES, sums[o][v]); });
    });
}

// One row of a convolution from the SIDE rows around it; weights are [in][down][right][out].
template <int IN, int OUT>
void convolve(const float* const (&rows)[SIDE], const float* weights, const float* bias, float* out, Size size) {
    int x = 0, stride = size.stride();
    for (; x + LANES < size.width; x += 2 * LANES)
        in_parts<OUT, (REGISTERS - 4) / 2>(EACH(auto first, auto count) {
            convolve_pixels<IN, OUT, decltype(first)::value, decltype(count)::value, 2>(
                rows, weights, bias, out, stride, x);
        });
    if (x < size.width)
        in_parts<OUT, REGISTERS - 4>(EACH(auto first, auto count) {
            convolve_pixels<IN, OUT, decltype(first)::value, decltype(count)::value, 1>(
                rows, weights, bias, out, stride, x);
        });
}

// Add, to sums [out][in][down][right], the slopes of some rows times the pixels around them; each sum has LANES parts.
template <int IN, int OUT>
void add_products(int count, const float* const* slopes, const float* const* rows, float* sums, Size size) {
    int stride = size.stride();
    in_parts<OUT, (REGISTERS - 1) / SIDE - 1>(EACH(auto first, auto number) {
        constexpr int FIRST = decltype(first)::value, COUNT = decltype(number)::value;
        for (int in = 0; in < IN; ++in)
            for (int down = 0; down < SIDE; ++down) {
                Vec part[COUNT][SIDE] = {};
                for (int row = 0; row < count; ++row) {
                    const float* slope = slopes[row] + FIRST * stride;
                    const float* pixels = rows[row + down] + in * stride - PAD;
                    for (int x = 0; x < size.width; x += LANES) {
                        Vec values[SIDE];
                        unroll<SIDE>(EACH(auto right) { values[right] = load(pixels + x + right); });
                        unroll<COUNT>(EACH(auto o) {
                            Vec factor = load(slope + o * stride + x);
                            unroll<SIDE>(EACH(auto right) { part[o][right] += factor * values[right]; });
                        });
                    }
                }
                unroll<COUNT>(EACH(auto o) {
                    float* sum = sums + (((FIRST + o) * IN + in) * SIDE + down) * SIDE * LANES;
                    unroll<SIDE>(EACH(auto right) {
                        store(sum + right * LANES, load(sum + right * LANES) + part[o][right]);
                    });
                });
            }
    });
}

using Order = std::make_integer_sequence<int, LANES>;
template <int FIRST, int... I>
INLINE Vec every_second(Vec a, Vec b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, (2 * I + FIRST)...);
}
template <int HALF, int... I>
INLINE Vec alternating(Vec a, Vec b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, (HALF * LANES / 2 + I / 2 + I % 2 * LANES)...);
}

// The largest of every 2x2 pixels of two rows, but no less than 0, and its corner: 0 to 3, the first of equal ones as in
// torch, or 4 for the 0.
INLINE void pool(const float* upper, const float* lower, float* largest, uint8_t* which, int width) {
    for (int x = 0; x < width; x += LANES) {
        Vec a = load(upper + 2 * x), b = load(upper + 2 * x + LANES);
        Vec c = load(lower + 2 * x), d = load(lower + 2 * x + LANES);
        Vec corners[4] = {every_second<0>(a, b, Order{}), every_second<1>(a, b, Order{}),
                          every_second<0>(c, d, Order{}), every_second<1>(c, d, Order{})};
        Vec most = corners[0];
        Ints chosen{};
        for (int corner = 1; corner < 4; ++corner) {
            Ints more = (corners[corner] > most) | (corners[corner] != corners[corner]);  // NaN, too, is what comes out
            most = more ? corners[corner] : most;
            chosen = more ? Ints{} + corner : chosen;
        }
        chosen = most <= 0 ? Ints{} + 4 : chosen;
        most = relu(most);
        Bytes bytes = __builtin_convertvector(chosen, Bytes);
        size_t fitting = std::min(LANES, width - x);
        std::memcpy(largest + x, &most, 4 * fitting);
        if (which) std::memcpy(which + x, &bytes, fitting);
    }
}

// Take slopes of what was pooled back to the pixels that it came from, and add up those that arrive.
INLINE void unpool(const float* slopes, const uint8_t* which, float* upper, float* lower, float* sum, int width) {
    Vec total = load(sum);
    for (int x = 0; x < width; x += LANES) {
        Vec slope{}, corners[4];
        Bytes bytes{};
        size_t fitting = std::min(LANES, width - x);
        std::memcpy(&slope, slopes + x, 4 * fitting);
        std::memcpy(&bytes, which + x, fitting);
        Ints chosen = __builtin_convertvector(bytes, Ints);
        for (int corner = 0; corner < 4; ++corner) {
            corners[corner] = chosen == corner ? slope : Vec{};
            total += corners[corner];
        }
        store(upper + 2 * x, alternating<0>(corners[0], corners[1], Order{}));
        store(upper + 2 * x + LANES, alternating<1>(corners[0], corners[1], Order{}));
        store(lower + 2 * x, alternating<0>(corners[2], corners[3], Order{}));
        store(lower + 2 * x + LANES, alternating<1>(corners[2], corners[3], Order{}));
    }
    store(sum, total);
}

// Weights [in][down][right][out], and those of both convolutions mirrored, [out][down][right][in], for the way back.
struct Weights {
    const float *first, *first_bias, *second, *second_bias, *first_mirrored, *second_mirrored;
};

// Rows of an image and of the first convolution behind its ReLU; both passes need them.
class FirstLayer {
    Size size;
    const Weights& weights;

  public:
    Rows pixels, activations;
    FirstLayer(Size size, const Weights& weights)
        : size(size), weights(weights), pixels(INPUTS, size, STRIP + 4 * PAD), activations(FILTERS, size, STRIP + 2 * PAD) {}

    // To be called for one row after the other.
    void compute(const float* image, int row) {
        for (int next = row == 0 ? 0 : row + PAD; next <= row + PAD && next < size.height; ++next) read(image, next);
        const float* rows[SIDE];
        pixels.around(row, rows);
        float* out = activations.at(row);
        convolve<INPUTS, FILTERS>(rows, weights.first, weights.first_bias, out, size);
        for (int c = 0; c < FILTERS; ++c) {
            float* values = out + c * size.stride();
            for (int x = 0; x < size.width; x += LANES) store(values + x, relu(load(values + x)));
            std::fill(values + size.width, values + round_up(size.width, LANES), 0.0f);
        }
    }

  private:
    void read(const float* image, int row) {
        for (int c = 0; c < INPUTS; ++c) {
            const float* from = image + ((size_t)c * size.height + row) * size.width;
            std::copy_n(from, size.width, pixels.at(row) + c * size.stride());
        }
    }
};

class Forward {
    Size size;
    const Weights& weights;
    FirstLayer first;
    Rows second;

  public:
    Forward(Size size, const Weights& weights)
        : size(size), weights(weights), first(size, weights), second(FILTERS, size, 2) {}

    void compute(const float* image, float* pooled, uint8_t* which) {
        const float* rows[SIDE];
        for (int row = 0; row < size.height + PAD; ++row) {
            if (row < size.height) first.compute(image, row);
            int done = row - PAD;
            if (done < 0) continue;
            first.activations.around(done, rows);
            convolve<FILTERS, FILTERS>(rows, weights.second, weights.second_bias, second.at(done), size);
            if (done % 2) pool_rows(done / 2, pooled, which);
        }
    }

  private:
    void pool_rows(int row, float* pooled, uint8_t* which) {
        const float *upper = second.at(2 * row), *lower = second.at(2 * row + 1);
        int height = size.height / 2, width = size.width / 2;
        for (int c = 0; c < FILTERS; ++c) {
            size_t to = ((size_t)c * height + row) * width, from = c * size.stride();
            pool(upper + from, lower + from, pooled + to, which ? which + to : nullptr, width);
        }
    }
};

class Backward {
    Size size;
    const Weights& weights;
    FirstLayer first;
    Rows second_slopes, first_slopes;
    std::vector<float> back_row, sums;
    float *first_sums, *first_bias, *second_sums, *second_bias;

  public:
    Backward(Size size, const Weights& weights)
        : size(size), weights(weights), first(size, weights), second_slopes(FILTERS, size, STRIP + 2 * PAD),
          first_slopes(FILTERS, size, STRIP + 2 * PAD), back_row(INPUTS * size.stride()), sums(TERMS * LANES) {
        first_sums = sums.data();
        first_bias = first_sums + FIRST_TERMS * LANES;
        second_sums = first_bias + FILTERS * LANES;
        second_bias = second_sums + SECOND_TERMS * LANES;
    }

    // Each layer lags behind the one after it by the rows that its convolution needs below.
    void compute(const float* image, const float* slopes, const uint8_t* which, float* back, float* gradients) {
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int top = 0; top - 2 * PAD < size.height; top += STRIP) {
            for (int row = top; row < std::min(top + STRIP, size.height); ++row) first.compute(image, row);
            for (int row = top; row < std::min(top + STRIP, size.height); row += 2) unpool_rows(slopes, which, row);
            second_layer(std::max(top - PAD, 0), std::min(top - PAD + STRIP, size.height));
            int end = std::min(top - 2 * PAD + STRIP, size.height);
            for (int row = std::max(top - 2 * PAD, 0); back && row < end; ++row) first_layer(row, back);
        }
        for (int term = 0; term < TERMS; ++term) {
            gradients[term] = 0;
            for (int lane = 0; lane < LANES; ++lane) gradients[term] += sums[term * LANES + lane];
        }
    }

  private:
    void unpool_rows(const float* slopes, const uint8_t* which, int row) {
        int height = size.height / 2, width = size.width / 2;
        if (row / 2 == height) {  // the last row of an odd number is in no pool
            std::fill_n(second_slopes.at(row), (FILTERS - 1) * size.stride() + size.width, 0.0f);
            return;
        }
        float *upper = second_slopes.at(row), *lower = second_slopes.at(row + 1);
        for (int c = 0; c < FILTERS; ++c) {
            size_t from = ((size_t)c * height + row / 2) * width, to = c * size.stride();
            unpool(slopes + from, which + from, upper + to, lower + to, second_bias + c * LANES, width);
        }
    }

    // Gradients of the second convolution's weights, slopes of what went into it, gradients of the first one's weights.
    void second_layer(int from, int end) {
        if (end <= from) return;
        const float *slopes[STRIP], *rows[STRIP + 2 * PAD], *around[SIDE];
        for (int row = from; row < end; ++row) slopes[row - from] = second_slopes.at(row);
        first.activations.around(from, rows);
        add_products<FILTERS, FILTERS>(end - from, slopes, rows, second_sums, size);
        for (int row = from; row < end; ++row) {
            second_slopes.around(row, around);
            convolve<FILTERS, FILTERS>(around, weights.second_mirrored, nullptr, first_slopes.at(row), size);
            mask(first_slopes.at(row), first.activations.at(row));
            slopes[row - from] = first_slopes.at(row);
        }
        first.pixels.around(from, rows);
        add_products<INPUTS, FILTERS>(end - from, slopes, rows, first_sums, size);
    }

    // Slopes pass where the ReLU was above 0; there are none beyond the image, whose activations are 0 there.
    void mask(float* slopes, const float* activations) {
        for (int c = 0; c < FILTERS; ++c) {
            Vec total = load(first_bias + c * LANES);
            for (int x = c * size.stride(); x < c * size.stride() + size.width; x += LANES) {
                Vec slope = load(activations + x) == 0 ? Vec{} : load(slopes + x);
                store(slopes + x, slope);
                total += slope;
            }
            store(first_bias + c * LANES, total);
        }
    }

    void first_layer(int row, float* back) {
        const float* around[SIDE];
        first_slopes.around(row, around);
        convolve<FILTERS, INPUTS>(around, weights.first_mirrored, nullptr, back_row.data(), size);
        for (int c = 0; c < INPUTS; ++c) {
            float* to = back + ((size_t)c * size.height + row) * size.width;
            std::copy_n(back_row.data() + c * size.stride(), size.width, to);
        }
    }
};

// Have each image computed by whichever thread is free.
template <class Worker, class Task>
void share_out(int batch, int threads, Size size, const Weights& weights, Task task) {
    std::atomic<int> next{0};
    auto work = [&] {
        Worker worker(size, weights);
        for (int number; (number = next++) < batch;) task(worker, (size_t)number);
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < std::min(threads, batch); ++thread) others.emplace_back(work);
    work();
    for (auto& other : others) other.join();
}

// images [batch][INPUTS][height][width] to pooled [batch][FILTERS][height / 2][width / 2] and, unless it is null, which
// of the same shape, for the way back.
extern "C" void forward(const float* images, const Weights* weights, float* pooled, uint8_t* which, int batch,
                        int height, int width, int threads) {
    size_t pixels = (size_t)INPUTS * height * width, results = (size_t)FILTERS * (height / 2) * (width / 2);
    share_out<Forward>(batch, threads, {height, width}, *weights, [=](Forward& worker, size_t number) {
        worker.compute(images + number * pixels, pooled + number * results, which ? which + number * results : nullptr);
    });
}

// slopes of pooled, of the same shape, to those of the images (back, of their shape, or null) and to gradients
// [batch][TERMS]: of each image, those of the first convolution's weights, its biases, the second one's, its biases.
extern "C" void backward(const float* images, const float* slopes, const uint8_t* which, const Weights* weights,
                         float* back, float* gradients, int batch, int height, int width, int threads) {
    size_t pixels = (size_t)INPUTS * height * width, results = (size_t)FILTERS * (height / 2) * (width / 2);
    share_out<Backward>(batch, threads, {height, width}, *weights, [=](Backward& worker, size_t number) {
        worker.compute(images + number * pixels, slopes + number * results, which + number * results,
                       back ? back + number * pixels : nullptr, gradients + number * TERMS);
    });
}
