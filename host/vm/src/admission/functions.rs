//! Function bodies: what bounds the work of a compiler and the size of a native frame. The validity
//! of each instruction is wasmparser's to check, in the same pass.
use synod_abi::{AdmissionError, Limited};
use wasmtime::wasmparser::{
    FuncToValidate, FuncValidatorAllocations, FunctionBody, Operator, ValidatorResources, WasmModuleResources,
};

use super::{at_most, invalid};

/// Checks the bodies of one module, one after the other.
#[derive(Default)]
pub(super) struct Bodies {
    allocations: FuncValidatorAllocations,
    module_locals: u64,
    module_blocks: u64,
}

impl Bodies {
    pub(super) fn check(
        &mut self,
        function: FuncToValidate<ValidatorResources>,
        body: &FunctionBody<'_>,
    ) -> Result<(), AdmissionError> {
        let params =
            function.resources.sub_type_at(function.ty).map_or(0, |ty| ty.unwrap_func().params().len());
        self.check_locals(params, body)?;
        let mut validator = function.into_validator(std::mem::take(&mut self.allocations));
        validator.read_locals(&mut body.get_binary_reader()).map_err(invalid)?;
        let mut operators = body.get_operators_reader().map_err(invalid)?;
        let mut function_blocks = 0;
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset().map_err(invalid)?;
            if let Operator::BrTable { targets } = &operator {
                at_most(Limited::BrTableTargets, u64::from(targets.len()))?;
            }
            if let Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } = &operator {
                function_blocks += 1;
                self.module_blocks += 1;
                at_most(Limited::FunctionBlocks, function_blocks)?;
                at_most(Limited::ModuleBlocks, self.module_blocks)?;
            }
            validator.op(offset, &operator).map_err(invalid)?;
            at_most(Limited::OperandStack, u64::from(validator.operand_stack_height()))?;
            let blocks = u64::from(validator.control_stack_height()).saturating_sub(1);
            at_most(Limited::BlockDepth, blocks)?;
        }
        operators.finish().map_err(invalid)?;
        self.allocations = validator.into_allocations();
        Ok(())
    }

    fn check_locals(&mut self, params: usize, body: &FunctionBody<'_>) -> Result<(), AdmissionError> {
        let mut locals = params as u64;
        for group in body.get_locals_reader().map_err(invalid)? {
            let (count, _) = group.map_err(invalid)?;
            locals += u64::from(count);
            at_most(Limited::FunctionLocals, locals)?;
        }
        self.module_locals += locals;
        at_most(Limited::ModuleLocals, self.module_locals)
    }
}
