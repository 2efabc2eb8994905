;; Logs two lines through wasi:logging, the second as critical and with a context, then hands back.
(module
  (import "wasi:logging/logging@0.1.0-draft" "log"
    (func $log (param i32 i32 i32 i32 i32)))
  ;; prelude
  (data (i32.const 512) "a line\0aand a break")
  (data (i32.const 544) "here")
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $log (i32.const 2) (i32.const 544) (i32.const 0) (i32.const 512) (i32.const 18))
    (call $log (i32.const 5) (i32.const 544) (i32.const 4) (i32.const 512) (i32.const 6))
    (call $hand_back (local.get $list) (local.get $count))))
