// An epoch of SGD in Gram space, of members that see the same images in the same order; everything is float64.
//
// The outputs of a first layer are K A^T, see cxr_runner.training.gram. Those for some batches to come, a window, are
// formed at once: rows of K are brought into the cache, some columns at a time, and multiplied with the coordinates of
// one member after the other. A step then changes the outputs for what is left of the window by the inner products of
// its images, and the coordinates are brought up to date when the window ends.
//
// A member is computed by one thread, in one order, so that its numbers do not depend on its company.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#if defined(__AVX512F__)
constexpr int LANES = 8, REGISTERS = 32;
#elif defined(__AVX__)
constexpr int LANES = 4, REGISTERS = 16;
#elif defined(__aarch64__)
constexpr int LANES = 2, REGISTERS = 32;
#else
constexpr int LANES = 2, REGISTERS = 16;
#endif
constexpr int TILE = 16;  // images whose sums are in registers at once
constexpr int VECS = TILE / LANES;
constexpr int MOST = (REGISTERS - 4) / VECS;  // outputs whose sums are there, too
constexpr int COLUMNS = 128;                  // of K, in the cache at once
constexpr int WINDOW = 256;                   // images, about

typedef double Vec __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
#define INLINE inline __attribute__((always_inline))
#define EACH(...) [&](__VA_ARGS__) __attribute__((always_inline))  // so that sums stay in registers

INLINE Vec load(const double* from) { return *(const Vec*)from; }
INLINE void store(double* to, Vec value) { *(Vec*)to = value; }
INLINE int round_up(int number, int step) { return (number + step - 1) / step * step; }

// Call body(0), body(1), ..., body(N - 1) with constants, so that what they index can stay in registers.
template <class Body, int... I>
INLINE void unroll(Body body, std::integer_sequence<int, I...>) { (body(std::integral_constant<int, I>{}), ...); }
template <int N, class Body>
INLINE void unroll(Body body) { unroll(body, std::make_integer_sequence<int, N>{}); }

// Add, to sums [COUNT][TILE], rows [terms][TILE] times factors, of each term COUNT at every STRIDE.
template <int COUNT>
void add_some_products(const double* rows, int terms, const double* factors, int stride, double* sums) {
    Vec sum[COUNT][VECS];
    unroll<COUNT>(EACH(auto o) { unroll<VECS>(EACH(auto v) { sum[o][v] = load(sums + o * TILE + v * LANES); }); });
    for (int term = 0; term < terms; ++term) {
        const double* own = factors + (size_t)term * stride;
        Vec values[VECS];
        unroll<VECS>(EACH(auto v) { values[v] = load(rows + term * TILE + v * LANES); });
        unroll<COUNT>(EACH(auto o) { unroll<VECS>(EACH(auto v) { sum[o][v] += own[o] * values[v]; }); });
    }
    unroll<COUNT>(EACH(auto o) { unroll<VECS>(EACH(auto v) { store(sums + o * TILE + v * LANES, sum[o][v]); }); });
}

template <int... I>
auto some_products(int count, std::integer_sequence<int, I...>) {
    using Function = void (*)(const double*, int, const double*, int, double*);
    static constexpr Function functions[] = {add_some_products<I + 1>...};
    return functions[count - 1];
}

// The same for any number of outputs, in parts of about the same size.
void add_products(const double* rows, int terms, const double* factors, int stride, double* sums, int outputs) {
    int parts = (outputs + MOST - 1) / MOST;
    for (int part = 0; part < parts; ++part) {
        int first = part * outputs / parts, count = (part + 1) * outputs / parts - first;
        auto add = some_products(count, std::make_integer_sequence<int, MOST>{});
        add(rows, terms, factors + first, stride, sums + first * TILE);
    }
}

// The sum of products of two rows of a multiple of LANES numbers.
double dot(const double* one, const double* other, int size) {
    Vec sum{};
    for (int i = 0; i < size; i += LANES) sum += load(one + i) * load(other + i);
    double total = 0;
    for (int lane = 0; lane < LANES; ++lane) total += sum[lane];
    return total;
}

// Exchange the blocks of STEP numbers that are on the wrong side of the diagonal in two rows of a square.
template <int STEP, int... I>
INLINE void exchange(Vec& one, Vec& other, std::integer_sequence<int, I...>) {
    Vec upper = __builtin_shufflevector(one, other, (I & STEP ? LANES + I - STEP : I)...);
    other = __builtin_shufflevector(one, other, (I & STEP ? LANES + I : I + STEP)...);
    one = upper;
}

// Turn a square of numbers about its diagonal: single numbers first, then blocks of 2, then of 4.
template <int STEP = 1>
INLINE void transpose(Vec (&square)[LANES]) {
    if constexpr (STEP < LANES) {
        unroll<LANES>(EACH(auto i) {
            if constexpr (!(decltype(i)::value & STEP))
                exchange<STEP>(square[i], square[i + STEP], std::make_integer_sequence<int, LANES>{});
        });
        transpose<2 * STEP>(square);
    }
}

struct Layer {
    int32_t inputs, outputs;  // of a linear layer; both 0 for a ReLU
};

// What Python hands over, and finds changed; native_epoch.py declares the same.
struct Member {
    double *coordinates, *coordinates_velocity;  // A^T [columns of K][width]; velocities are null without momentum
    double *decay, *decay_velocity;              // c, see cxr_runner.training.gram
    double *rest, *rest_velocity;                // biases of the first layer; weights and biases of each linear layer
    const double* starts;                        // X W0^T [images][width]
    const double* lrs;                           // [steps]
    const float* targets;                        // [images in their order], 0 or 1
    double* losses;                              // [steps], mean of each batch
    double* logits;                              // [images in their order], before the step
    const Layer* layers;                         // those behind the first
    double momentum, weight_decay, pos_weight;
    int64_t silent;  // images in a row for which the last ReLU has been 0; counted where that can be for good
    int32_t outputs, width, num_layers, num_rest, nesterov, counts_silent;

    // Steps of SGD as torch.optim.SGD takes them.
    void advance(double* values, double* velocity, const double* slopes, size_t size, double lr) const {
        for (size_t i = 0; i < size; ++i) {
            double slope = slopes[i] + weight_decay * values[i];
            velocity[i] = momentum * velocity[i] + slope;
            values[i] -= lr * (nesterov ? slope + momentum * velocity[i] : velocity[i]);
        }
    }
    // Whether it never moves again: all gradients are 0, without momentum and decay.
    bool is_dead(int num_train) const { return counts_silent && silent >= 2 * (int64_t)num_train; }
};

// The layers behind the first, for one batch: numbers are [unit][padded], images beside each other.
class Head {
    const Member& member;
    int padded;
    std::vector<std::vector<double>> values;  // that went into each layer, and the logits
    std::vector<double> back, further_back, ones;

  public:
    std::vector<double> gradients;  // of all weights and biases, in the order of Member::rest

    Head(const Member& member, int padded)
        : member(member), padded(padded), values(member.num_layers + 1), ones(padded, 1.0), gradients(member.num_rest) {
        int units = member.outputs;
        for (int number = 0; number <= member.num_layers; ++number) {
            values[number].resize((size_t)units * padded);
            if (number < member.num_layers && member.layers[number].outputs) units = member.layers[number].outputs;
        }
    }

    // Take the first layer's outputs, without its biases: output(image, unit).
    template <class Output>
    void read(int images, Output output) {
        for (int unit = 0; unit < member.outputs; ++unit)
            for (int image = 0; image < images; ++image) values[0][unit * padded + image] = output(image, unit);
    }

    const double* forward() {
        const double* weights = member.rest + member.outputs;
        for (int unit = 0; unit < member.outputs; ++unit)
            for (int i = 0; i < padded; ++i) values[0][unit * padded + i] += member.rest[unit];
        for (int number = 0; number < member.num_layers; ++number) {
            auto [inputs, outputs] = member.layers[number];
            const auto& in = values[number];
            auto& out = values[number + 1];
            if (!outputs) {
                for (size_t i = 0; i < in.size(); ++i) out[i] = in[i] < 0 ? 0 : in[i];  // NaN stays NaN
                continue;
            }
            const double* biases = weights + inputs * outputs;
            for (int o = 0; o < outputs; ++o)
                for (int i = 0; i < padded; i += LANES) {
                    Vec sum = Vec{} + biases[o];
                    for (int unit = 0; unit < inputs; ++unit)
                        sum += weights[o * inputs + unit] * load(&in[unit * padded + i]);
                    store(&out[o * padded + i], sum);
                }
            weights = biases + outputs;
        }
        return values.back().data();
    }

    // From slopes of the logits, 0 where there is no image, to those of the first layer's outputs.
    const double* backward(const std::vector<double>& slopes) {
        int at = member.num_rest;
        back = slopes;
        for (int number = member.num_layers; number-- > 0;) {
            auto [inputs, outputs] = member.layers[number];
            const auto& in = values[number];
            if (!outputs) {
                for (size_t i = 0; i < in.size(); ++i) back[i] = in[i] > 0 ? back[i] : 0;
                continue;
            }
            at -= (inputs + 1) * outputs;
            const double* weights = member.rest + at;
            double *of_weights = &gradients[at], *of_biases = of_weights + inputs * outputs;
            for (int o = 0; o < outputs; ++o) {
                for (int unit = 0; unit < inputs; ++unit)
                    of_weights[o * inputs + unit] = dot(&back[o * padded], &in[unit * padded], padded);
                of_biases[o] = dot(&back[o * padded], ones.data(), padded);
            }
            further_back.assign(in.size(), 0.0);
            for (int unit = 0; unit < inputs; ++unit)
                for (int o = 0; o < outputs; ++o)
                    for (int i = 0; i < padded; ++i)
                        further_back[unit * padded + i] += weights[o * inputs + unit] * back[o * padded + i];
            back.swap(further_back);
        }
        for (int unit = 0; unit < member.outputs; ++unit)
            gradients[unit] = dot(&back[unit * padded], ones.data(), padded);
        return back.data();
    }
};

// Return the mean weighted cross entropy of a batch, and its slopes with respect to the logits.
double cross_entropy(const double* logits, const float* targets, double pos_weight, int size, double* slopes) {
    double total = 0;
    for (int i = 0; i < size; ++i) {
        double sign = targets[i] > 0 ? 1 : -1, weight = targets[i] > 0 ? pos_weight : 1;
        double margin = sign * logits[i], small = std::exp(-std::abs(margin));
        total += weight * (std::max(-margin, 0.0) + std::log1p(small));
        slopes[i] = -sign * weight / size * (margin > 0 ? small : 1) / (1 + small);
    }
    return total / size;
}

// A window: first its rows are looked at, then members take their steps.
class Window {
    const double* gram;
    int64_t stride;
    int num_train, batch_size, size, tiles;
    const int64_t* positions;
    std::vector<double> rows;   // some columns of K: [tile][column][TILE]
    std::vector<double> inner;  // products of the window's images: [tile][image][TILE]

  public:
    Window(const double* gram, int64_t stride, int num_train, int batch_size, const int64_t* positions, int size)
        : gram(gram), stride(stride), num_train(num_train), batch_size(batch_size), size(size),
          tiles(round_up(size, TILE) / TILE), positions(positions), rows((size_t)tiles * COLUMNS * TILE),
          inner(size > batch_size ? (size_t)tiles * size * TILE : 0) {}

    // Have members that can still change take their steps; start: how many images of the epoch came before.
    void train(Member* members, int num_members, int start) {
        Sums outputs(num_members), speeds(num_members);
        for (int number = 0; number < num_members; ++number)
            if (!members[number].is_dead(num_train)) outputs[number] = speeds[number] = zeros(members[number]);
        form(members, outputs, speeds);
        for (int number = 0; number < num_members; ++number)
            if (outputs[number].empty())
                stand_still(members[number], start);
            else
                take_steps(members[number], start, outputs[number], speeds[number]);
    }

    // Have members give their logits, and nothing else.
    void answer(const Member* members, int num_members, int start) {
        Sums outputs(num_members), speeds(num_members);
        for (int number = 0; number < num_members; ++number) outputs[number] = zeros(members[number]);
        form(members, outputs, speeds);
        for (int number = 0; number < num_members; ++number) {
            const Member& member = members[number];
            Head head(member, round_up(size, LANES));
            head.read(size, [&](int image, int unit) { return outputs[number][place(image, unit, member.outputs)]; });
            std::copy_n(head.forward(), size, member.logits + start);
        }
    }

  private:
    using Sums = std::vector<std::vector<double>>;  // of each member [tile][unit][TILE], empty where not wanted

    std::vector<double> zeros(const Member& member) const {
        return std::vector<double>((size_t)tiles * member.outputs * TILE);
    }

    // Form the first layers' outputs, without their biases, and the same of the velocities, where there are any.
    void form(const Member* members, Sums& outputs, Sums& speeds) {
        for (int column = 0; column < num_train; column += COLUMNS) {
            int count = std::min(COLUMNS, num_train - column);
            fetch(column, count);
            for (size_t number = 0; number < outputs.size(); ++number) {
                const Member& member = members[number];
                multiply(column, count, member.coordinates, member, outputs[number]);
                if (member.momentum) multiply(column, count, member.coordinates_velocity, member, speeds[number]);
            }
        }
        for (size_t number = 0; number < outputs.size(); ++number) {
            const Member& member = members[number];
            add_starts(member, *member.decay, outputs[number]);
            if (member.momentum) add_starts(member, *member.decay_velocity, speeds[number]);
        }
    }

    void multiply(int column, int count, const double* coordinates, const Member& member, std::vector<double>& sums) {
        for (int tile = 0; tile < tiles && !sums.empty(); ++tile)
            add_products(&rows[(size_t)tile * COLUMNS * TILE], count, coordinates + (size_t)column * member.width,
                         member.width, &sums[(size_t)tile * member.outputs * TILE], member.outputs);
    }

    void add_starts(const Member& member, double decay, std::vector<double>& sums) {
        for (int image = 0; image < size && !sums.empty(); ++image)
            for (int unit = 0; unit < member.outputs; ++unit)
                sums[place(image, unit, member.outputs)] +=
                    decay * member.starts[positions[image] * member.width + unit];
    }

    // Beyond the last image any row: nobody reads what comes of it.
    const double* row_at(int image) const { return gram + positions[std::min(image, size - 1)] * stride; }

    // Turn some columns of the window's rows, while the processor brings those of the next tile, and keep their part of
    // the inner products.
    void fetch(int column, int count) {
        for (int tile = 0; tile < tiles; ++tile) {
            const double *from[TILE], *next[TILE];
            for (int row = 0; row < TILE; ++row) {
                from[row] = row_at(tile * TILE + row) + column;
                next[row] = row_at((tile + 1) * TILE + row) + column;
            }
            double* to = &rows[(size_t)tile * COLUMNS * TILE];
            int term = 0;
            for (; term + LANES <= count; term += LANES) {
                for (int row = 0; row < TILE; ++row) __builtin_prefetch(next[row] + term);
                unroll<VECS>(EACH(auto v) {
                    Vec square[LANES];
                    unroll<LANES>(EACH(auto row) { square[row] = load(from[v * LANES + row] + term); });
                    transpose(square);
                    unroll<LANES>(EACH(auto i) { store(to + (term + i) * TILE + v * LANES, square[i]); });
                });
            }
            for (; term < count; ++term)
                for (int row = 0; row < TILE; ++row) to[term * TILE + row] = from[row][term];
        }
        for (int image = 0; !inner.empty() && image < size; ++image) {
            int64_t term = positions[image] - column;
            for (int tile = 0; tile < tiles && term >= 0 && term < count; ++tile)
                std::copy_n(&rows[((size_t)tile * COLUMNS + term) * TILE], TILE,
                            &inner[((size_t)tile * size + image) * TILE]);
        }
    }

    static size_t place(int image, int unit, int units) {
        return ((size_t)(image / TILE) * units + unit) * TILE + image % TILE;
    }

    void stand_still(const Member& member, int start) {
        std::vector<double> slopes(std::min(batch_size, size));
        std::fill_n(member.logits + start, size, 0.0);
        for (int first = 0; first < size; first += batch_size) {
            int at = start + first, count = std::min(batch_size, size - first);
            member.losses[at / batch_size] =
                cross_entropy(member.logits + at, member.targets + at, member.pos_weight, count, slopes.data());
        }
    }

    void take_steps(Member& member, int start, std::vector<double>& outputs, std::vector<double>& speeds) {
        int units = member.outputs, steps = (size + batch_size - 1) / batch_size;
        // A and its velocity as sums: of both at the beginning of the window, and of the slopes of each step.
        std::vector<double> sum(2 + steps), speed(2 + steps), one(2 + steps);
        std::vector<double> slopes((size_t)size * units), changes(outputs.size()), still(member.num_rest);
        sum[0] = speed[1] = 1;
        for (int step = 0; step < steps; ++step) {
            int first = step * batch_size, count = std::min(batch_size, size - first), end = first + count;
            double lr = member.lrs[(start + first) / batch_size];
            Head head(member, round_up(count, LANES));
            train_batch(member, head, start, first, count, outputs, slopes);
            double* rest_velocity = member.momentum ? member.rest_velocity : still.data();
            member.advance(member.rest, rest_velocity, head.gradients.data(), member.num_rest, lr);
            one[2 + step] = 1;
            member.advance(sum.data(), speed.data(), one.data(), sum.size(), lr);
            one[2 + step] = 0;
            if (end == size) break;
            // The rest of the window; images of its first tile that have had their step are changed, too, and not read.
            size_t at = (size_t)(end / TILE) * units * TILE;
            std::fill(changes.begin() + at, changes.end(), 0.0);
            for (int tile = end / TILE; tile < tiles; ++tile)
                add_products(&inner[((size_t)tile * size + first) * TILE], count, &slopes[(size_t)first * units], units,
                             &changes[(size_t)tile * units * TILE], units);
            member.advance(&outputs[at], &speeds[at], &changes[at], outputs.size() - at, lr);
        }
        add_up(member, sum, speed, slopes);
    }

    // Losses and logits of a batch, the gradients of its head, and the slopes of the first layer's outputs.
    void train_batch(Member& member, Head& head, int start, int first, int count, const std::vector<double>& outputs,
                     std::vector<double>& slopes) {
        int units = member.outputs, padded = round_up(count, LANES), at = start + first;
        head.read(count, [&](int i, int unit) { return outputs[place(first + i, unit, units)]; });
        double* logits = member.logits + at;
        std::copy_n(head.forward(), count, logits);
        std::vector<double> of_logits(padded);
        member.losses[at / batch_size] =
            cross_entropy(logits, member.targets + at, member.pos_weight, count, of_logits.data());
        const double* back = head.backward(of_logits);
        for (int i = 0; i < count; ++i)
            for (int unit = 0; unit < units; ++unit) slopes[(first + i) * units + unit] = back[unit * padded + i];
        if (member.counts_silent) {
            bool silent = std::all_of(logits, logits + count, [](double logit) { return logit == 0; });
            member.silent = silent ? member.silent + count : 0;
        }
    }

    // Bring A and c, and their velocities, up to date at the end of the window.
    void add_up(Member& member, const std::vector<double>& sum, const std::vector<double>& speed,
                const std::vector<double>& slopes) {
        int units = member.outputs;
        auto combine = [&](double& value, double& velocity) {
            double before = value;
            value = sum[0] * before + sum[1] * velocity;
            velocity = speed[0] * before + speed[1] * velocity;
        };
        if (member.momentum) {
            size_t numbers = (size_t)num_train * member.width;
            for (size_t i = 0; i < numbers; ++i) combine(member.coordinates[i], member.coordinates_velocity[i]);
            combine(*member.decay, *member.decay_velocity);
        } else if (member.weight_decay) {
            for (size_t i = 0; i < (size_t)num_train * member.width; ++i) member.coordinates[i] *= sum[0];
            *member.decay *= sum[0];
        }
        for (int image = 0; image < size; ++image)
            for (int unit = 0; unit < units; ++unit) {
                size_t to = positions[image] * member.width + unit;
                double slope = slopes[(size_t)image * units + unit];
                member.coordinates[to] += sum[2 + image / batch_size] * slope;
                if (member.momentum) member.coordinates_velocity[to] += speed[2 + image / batch_size] * slope;
            }
    }
};

// Have members give their logits of num_images images, which stand at positions in K; it has rows of stride numbers, the
// first num_train of which are its columns.
extern "C" void answer(const double* gram, int64_t stride, int num_train, const int64_t* positions, int num_images,
                       const Member* members, int num_members) {
    for (int start = 0; start < num_images; start += WINDOW) {
        int size = std::min(WINDOW, num_images - start);
        Window(gram, stride, num_train, size, positions + start, size).answer(members, num_members, start);
    }
}

// Train members for an epoch on images in their order; what is not said is as above.
extern "C" void train_epoch(const double* gram, int64_t stride, int num_train, const int64_t* positions, int num_images,
                            int batch_size, Member* members, int num_members) {
    int ahead = std::max(1, WINDOW / batch_size) * batch_size;
    for (int start = 0; start < num_images; start += ahead) {
        int size = std::min(ahead, num_images - start);
        Window(gram, stride, num_train, batch_size, positions + start, size).train(members, num_members, start);
    }
}
