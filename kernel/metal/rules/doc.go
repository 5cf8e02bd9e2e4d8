// Package rules has a test that keeps the rules of metal code: what runs before
// and beneath the Go runtime must not allocate, store pointers into the heap,
// or use what needs an initialised runtime. It reads the compiler's assembly
// output and accepts only a short list of calls into package runtime.
package rules
