// Batches as arrays of rows, one for each sample.

// f of the rows of every sample, from one or more batches.
export const rows = (f, ...arrays) => arrays[0].map((_, n) => f(...arrays.map((array) => array[n])));

// The transpose, `width` rows of it.
export const columns = (array, width) =>
  Array.from({ length: width }, (_, j) => array.map((row) => row[j]));
