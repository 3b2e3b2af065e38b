// The inner loops of engine.js, several numbers at a time (WebAssembly's 128-bit SIMD). engine.js has each of them in plain
// JavaScript, too, for browsers without SIMD. They are compiled twice: engine_fma.wasm multiplies and adds in one instruction, where
// the browser has WebAssembly's relaxed SIMD, and so is a third faster.
//
// After a change: `pip install ziglang==0.17.1`, in an environment of its own, and `python helpers/pages/rebuild.py`. Readers need
// neither: the binary is in the repository.

#ifndef NUMBER  // this file includes itself, once for each kind of number

#define NUMBER float
#define NAME(name) name##32
#define MULTIPLY_ADD __builtin_wasm_relaxed_madd_f32x4
#include "engine.c"
#undef NUMBER
#undef NAME
#undef MULTIPLY_ADD
#define NUMBER double
#define NAME(name) name##64
#define MULTIPLY_ADD __builtin_wasm_relaxed_madd_f64x2
#include "engine.c"

#else

#ifndef __wasm_relaxed_simd__
#undef MULTIPLY_ADD
#define MULTIPLY_ADD(a, b, sum) ((sum) + (a) * (b))
#endif
#define LANES (16 / (int)sizeof(NUMBER))
#define STRIP 8
typedef NUMBER NAME(lanes) __attribute__((vector_size(16), aligned(sizeof(NUMBER))));

// out = a b. a: (rows, inner), row by row. b: (inner, columns), packed. out: (rows, columns), row by row. A tile of 4 x 8 sums stays
// in registers while the inner dimension passes by. Rows are read and written up to a multiple of 4: a and out have room for them.
void NAME(product)(NUMBER *out, const NUMBER *a, const NUMBER *b, int rows, int inner, int columns) {
  for (int column = 0; column < columns; column += STRIP, b += STRIP * inner)
    for (int row = 0; row < rows; row += 4) {
      NAME(lanes) sums[4][STRIP / LANES] = {0};
      for (int k = 0; k < inner; k++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          NAME(lanes) value = a[(row + i) * inner + k] - (NAME(lanes)){0};  // in every lane
#pragma unroll
          for (int j = 0; j < STRIP / LANES; j++)
            sums[i][j] = MULTIPLY_ADD(value, ((const NAME(lanes) *)(b + STRIP * k))[j], sums[i][j]);
        }
      for (int i = 0; i < 4; i++) {
        NUMBER *to = out + (row + i) * columns + column;
        if (column + STRIP <= columns)
          for (int j = 0; j < STRIP / LANES; j++) ((NAME(lanes) *)to)[j] = sums[i][j];
        else
          for (int j = 0; j < columns - column; j++) to[j] = sums[i][j / LANES][j % LANES];
      }
    }
}

// The matrix factor * values (inner, columns) in strips of 8 columns, each row by row, the last one filled up with zeros.
// transposed: values is (columns, inner).
void NAME(pack)(NUMBER *out, const float *values, int inner, int columns, int transposed, float factor) {
  int down = transposed ? 1 : columns, across = transposed ? inner : 1;
  for (int strip = 0; strip < columns; strip += STRIP) {
    int last = columns - strip < STRIP ? columns - strip : STRIP;
    for (int k = 0; k < inner; k++, out += STRIP) {
      const float *from = values + strip * across + k * down;
      if (last == STRIP)
        for (int j = 0; j < STRIP; j++) out[j] = from[j * across] * factor;
      else
        for (int j = 0; j < STRIP; j++) out[j] = j < last ? from[j * across] * factor : 0;
    }
  }
}

// out = values where `at` is above 0 (or NaN), else 0: a ReLU, forward and backward.
void NAME(pass)(NUMBER *out, const NUMBER *values, const NUMBER *at, int count) {
  for (int k = 0; k < count; k++) out[k] = at[k] <= 0 ? 0 : values[k];
}

// The number of columns of a (rows, columns) that are 0 in every row.
int NAME(dead)(const NUMBER *a, int rows, int columns) {
  int found = 0;
  for (int column = 0; column < columns; column++) {
    int row = 0;
    while (row < rows && a[row * columns + column] == 0) row++;
    found += row == rows;
  }
  return found;
}

// The smallest and the greatest value, the sum, and the sum of the squares. A NaN is in no extreme.
double *NAME(summary)(const NUMBER *values, int count) {
  static double found[4];
  double low[4], high[4], total[4] = {0}, squares[4] = {0};  // four lanes, brought together in the end
  for (int j = 0; j < 4; j++) low[j] = __builtin_inf(), high[j] = -__builtin_inf();
#define ADD(j, value)                      \
  low[j] = value < low[j] ? value : low[j];    \
  high[j] = value > high[j] ? value : high[j]; \
  total[j] += value;                           \
  squares[j] += value * value;
  int k = 0;
  for (; k + 4 <= count; k += 4)
#pragma unroll
    for (int j = 0; j < 4; j++) {
      double value = values[k + j];
      ADD(j, value)
    }
  for (; k < count; k++) {
    double value = values[k];
    ADD(0, value)
  }
#undef ADD
  for (int j = 1; j < 4; j++) {
    low[0] = low[j] < low[0] ? low[j] : low[0];
    high[0] = high[j] > high[0] ? high[j] : high[0];
  }
  found[0] = low[0], found[1] = high[0];
  found[2] = total[0] + total[1] + total[2] + total[3];
  found[3] = squares[0] + squares[1] + squares[2] + squares[3];
  return found;
}

#endif
