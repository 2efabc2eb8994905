;; Ends the program that it runs in, as it thinks. The host must end the call alone.
(module
  (import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $exit (i32.const 0))
    (call $hand_back (local.get $list) (local.get $count))))
