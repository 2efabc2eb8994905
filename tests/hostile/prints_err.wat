;; Writes sixty million bytes to its standard error, then hands back what it gets. The host must drop what is
;; too much, and count it (P45).
(module
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stream (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop (param i32)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (local $left i32)
    (local $stream i32)
    (local.set $stream (call $stream))
    (local.set $left (i32.const 15000))
    (loop $more
      (call $write (local.get $stream) (i32.const 65536) (i32.const 4000) (i32.const 2048))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $more (local.get $left)))
    (call $drop (local.get $stream))
    (call $hand_back (local.get $list) (local.get $count))))
