;; Asks for two thousand million random bytes. The host must not make them.
(module
  (import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $random (i64.const 2000000000) (i32.const 2048))
    (call $hand_back (local.get $list) (local.get $count))))
