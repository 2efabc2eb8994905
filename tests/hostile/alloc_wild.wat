;; Gives the host memory that it does not have, for an app of four letters. The host must not write there.
(module
  ;; allocating: (if (i32.eq (local.get 3) (i32.const 4)) (then (return (i32.const 0x7ffffff0))))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $hand_back (local.get $list) (local.get $count))))
