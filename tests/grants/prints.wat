;; Writes a line and the beginning of another to its standard error, then traps.
(module
  (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  ;; prelude
  (data (i32.const 512) "one line\0aand a half")
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $write (call $stderr) (i32.const 512) (i32.const 19) (i32.const 2048))
    unreachable))
