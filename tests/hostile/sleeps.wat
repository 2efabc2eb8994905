;; Sleeps for an hour, in the host. The host must stop it at its deadline (P1).
(module
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration"
    (func $timer (param i64) (result i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $block (call $timer (i64.const 3600000000000)))
    (call $hand_back (local.get $list) (local.get $count))))
