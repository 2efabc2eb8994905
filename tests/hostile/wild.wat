;; Returns a list that lies outside of its memory. The host must not read it.
(module
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $hand_back (i32.const 0x7ffffff0) (i32.const 1000))))
